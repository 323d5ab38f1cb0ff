"""What the two threads of a route share: its settings as they are now, the receiver's word, the limit, the ledger."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Final

from services.core.errors import LedgerUnreachable
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, now
from services.core.log import get_logger
from services.core.metrics.spool import Spool
from services.core.route_settings import RouteSettings
from services.core.settings import Settings
from services.routes.book import RouteBook
from services.routes.pressure import Pressure, Word, judge
from services.routes.throttle import Throttle
from services.shipper.herald import Herald
from services.watcher.outbox import outbox_dir
from transfer.remotes.base import Remote
from transfer.remotes.open import open_remote

MBIT: Final = 1e6 / 8


class RouteContext:
    """One route; safe to share between its threads."""

    def __init__(
        self, name: str, settings: Settings, book: RouteBook, ledger: Ledger, spool: Spool, stop: threading.Event
    ) -> None:
        self.name = name
        self.book = book
        self.ledger = ledger
        self.spool = spool
        self.stop = stop
        self.news = threading.Event()  # something to ship may have come
        self.sent = threading.Event()  # a bundle lies at the remote: its receipt will come soon
        self.log = get_logger()
        self.outbox = outbox_dir(settings, name)
        self.shipped = settings.state_dir / "shipped" / name
        self.word: Word | None = None
        self.undoing = threading.Lock()  # both threads throw packed copies away
        self.kept = settings.state_dir / "quarantine" / "bundles"
        self.throttle = Throttle(self._limit, stop)
        self.herald = Herald(name, settings, ledger)
        self._pressure = Pressure()

    @property
    def route(self) -> RouteSettings:
        """The route as it is now."""
        return self.book.get(self.name)

    def open(self, streams: int) -> Remote:
        """A remote of its own for the calling thread; nothing is connected yet."""
        route = self.route
        return open_remote(
            route.url,
            key_file=route.key_file,
            known_hosts=route.known_hosts,
            timeout_s=route.timeout_s,
            transport=route.transport,
            streams=streams,
            throttle=self.throttle,
        )

    def pressure(self) -> Pressure:
        """What the receiver's word asks for now; a change is logged, and is a metric."""
        route = self.route
        pressure = judge(route.pressure, self.word, now(), route.receipt_overdue_s)
        actions = (pressure.pause, pressure.science_first, pressure.mbit_s)
        if actions != (self._pressure.pause, self._pressure.science_first, self._pressure.mbit_s):
            self.log.warning("back-pressure", reasons=list(pressure.reasons) or ["none any more"])
            fields = {
                "pause": pressure.pause,
                "science_first": pressure.science_first,
                "mbit_s": pressure.mbit_s or 0.0,
            }
            self.spool.write("route_pressure", fields, {"route": self.name})
        self._pressure = pressure
        return pressure

    def alert(self, about: str, message: str, severity: int = 1) -> None:
        """Raise an alert of this route; it is logged when it is new (points of alerts are the notify daemon's)."""
        try:
            with self.ledger.begin() as conn:
                new = raise_alert(conn, f"route:{self.name}:{about}", message, now(), severity)
        except LedgerUnreachable as error:
            self.log.error("alert not recorded", about=about, message=message, reason=str(error))
            return
        if new:
            self.log.error("alert", about=about, message=message)

    def resolve(self, about: str) -> None:
        """The condition is over."""
        with self.ledger.begin() as conn:
            resolve_alert(conn, f"route:{self.name}:{about}", now())

    def _limit(self) -> float | None:
        """Bytes per second that may go now, or None."""
        limits = [self.route.bandwidth.limit_mbit_s(datetime.now(UTC)), self._pressure.mbit_s]
        known = [limit for limit in limits if limit is not None]
        return min(known) * MBIT if known else None


def as_opened(route: RouteSettings) -> tuple[object, ...]:
    """A route as far as its connections depend on it; another number of streams needs no new ones."""
    return route.url, route.key_file, route.known_hosts, route.timeout_s, route.transport
