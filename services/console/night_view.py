"""All that the console shows of a night, gathered without holding up a daemon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.backlog import QueueLine, RedisDepths, RouteLine, queues_of, routes_of
from services.console.daemons import DaemonLine, daemons_of
from services.console.exposures import TROUBLE, Exposure, FrameLine, exposures_of
from services.console.night_reading import NightReader, newest_event, newest_night
from services.core.ledger.alerts import open_alerts
from services.core.ledger.engine import Ledger
from services.core.settings import Settings
from services.core.summary import summarise


@dataclass(frozen=True)
class AlertLine:
    """An open alert; times in seconds since 1970 UTC."""

    alert: str
    severity: int
    message: str
    raised_at: float
    acked_by: str | None

    def record(self) -> dict[str, Any]:
        """The line as an object."""
        return {"what": "alert", **{name: getattr(self, name) for name in self.__dataclass_fields__}}


@dataclass(frozen=True)
class NightView:
    """What there is to see at one moment; `exposures` are the newest of `total`, in the order of time.

    `newest` is the newest night on record, where the one that was asked for has nothing.
    """

    site: str
    night: str | None
    now: float
    exposures: Sequence[Exposure]
    total: int
    frames: dict[str, int]
    routes: Sequence[RouteLine]
    queues: Sequence[QueueLine]
    alerts: Sequence[AlertLine]
    daemons: Sequence[DaemonLine]
    troubles: Sequence[str] = ()
    newest: str | None = None

    @property
    def bad(self) -> bool:
        """Whether something waits for a person."""
        stuck = any(line.stuck for line in self.routes) or any(line.failed for line in self.queues)
        lost = any(exposure.place in TROUBLE for exposure in self.exposures)
        return bool(self.alerts or self.troubles or stuck or lost or any(line.bad for line in self.daemons))

    def records(self) -> Iterator[dict[str, Any]]:
        """One object for the night, then one per line."""
        numbers = {"exposures": self.total, "frames": self.frames, "troubles": list(self.troubles)}
        yield {"what": "night", "site": self.site, "night": self.night, "now": self.now, **numbers}
        yield from (line.record() for line in self.exposures)
        yield from (line.record() for line in self.routes)
        yield from (line.record() for line in self.queues)
        yield from (line.record() for line in self.alerts)
        yield from (line.record() for line in self.daemons)


class NightWatch:
    """Looks at the ledger again and again; what has not moved is not read twice."""

    def __init__(self, settings: Settings, ledger: Ledger, night: str | None, last: int | None) -> None:
        self._settings = settings
        self._ledger = ledger
        self._night = night
        self._last = last
        self._redis = RedisDepths(settings)
        production = settings.conduct.production if settings.conduct is not None else "live"
        self._reader = NightReader(production)
        self._seen_event = -1
        self._shown: tuple[str | None, list[FrameLine], int, dict[str, int]] = (None, [], 0, {})
        self._newest: str | None = None
        self._routes: list[RouteLine] = []

    def look(self, now: float) -> NightView:
        """What there is to see now.

        Raises
        ------
        LedgerUnreachable
            The ledger does not answer.
        """
        depths = self._redis.read()
        with self._ledger.read() as conn:
            event = newest_event(conn)
            if event != self._seen_event:
                night = self._night or newest_night(conn)
                frames, total = self._reader.read(conn, night, self._last) if night else ([], 0)
                self._shown = (night, frames, total, summarise(conn, night)["frames"])
                self._newest = None if total else newest_night(conn)
            alerts = [
                AlertLine(row.alert, row.severity, row.message, row.raised_at, row.acked_by)
                for row in open_alerts(conn)
            ]
            queues = queues_of(conn, depths, now) if self._settings.redis is not None else []
        if event != self._seen_event or any(line.waiting or line.bundles for line in self._routes):
            self._routes = routes_of(self._settings, self._ledger, now)
        self._seen_event = event
        night, frames, total, states = self._shown
        return NightView(
            site=self._settings.site,
            night=night,
            now=now,
            exposures=exposures_of(frames, now),
            total=total,
            frames=states,
            routes=self._routes,
            queues=queues,
            alerts=alerts,
            daemons=daemons_of(self._settings, now),
            troubles=[self._redis.trouble] if self._redis.trouble else [],
            newest=self._newest,
        )
