"""The thread that ships: outbox → remote, in the order and with the streams of the route's mode."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from services.core.daemon import Backoff
from services.core.errors import LedgerUnreachable
from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.core.ledger.states import advance
from services.core.log import bound
from services.core.route_settings import RouteSettings
from services.routes.choice import turn_of
from services.routes.order import PackedBundle, ship_order
from services.shipper.attempts import count_attempts, in_vain
from services.shipper.autopilot import Autopilot
from services.shipper.context import RouteContext, as_opened
from services.shipper.undo import undo
from transfer.bundle import Bundle, open_bundle
from transfer.errors import BadDocument, HostKeyMismatch, NoSpace, Refused, TransferError
from transfer.remotes.base import Remote
from transfer.ship import ship_all

LOOK_AGAIN_S: Final = 1.0  # the order of what is still to go is thought over this often
AUTO_S: Final = 20.0  # how long mode `auto` ships before it thinks its choice over
SOON_S: Final = 0.05
WINDOW: Final = 16  # bundles that may wait for their receipts ...
WINDOW_PER_S: Final = 200  # ... and so many more for each second of the round trip
SILENT_S: Final = 30.0  # after so long without a receipt nobody is there to be waited for


class Sender:
    """One route's shipping. The outbox and the ledger are its only memory."""

    def __init__(self, ctx: RouteContext) -> None:
        self._ctx = ctx
        self._backoff = Backoff(1.0, ctx.route.backoff_max_s)
        self._remote: Remote | None = None
        self._opened_for: tuple[object, ...] = ()
        self._in_flight: dict[str, float] = {}
        self._order: list[str] = []
        self._looked_at = float("-inf")
        self._done = 0
        self._moved = 0
        self._reached: tuple[tuple[str, ...], int] = ((), 0)
        self._auto = Autopilot(ctx)
        self._stopped_by: tuple[object, ...] | None = None
        self._troubled = True  # alerts may be open from before the start
        self.status = "starting"

    def run(self) -> None:
        """Ship until the stop signal; a failure is a pause, never an end."""
        ctx = self._ctx
        with bound(route=ctx.name):
            while not ctx.stop.is_set():
                try:
                    pause_s = self._round()
                except (TransferError, LedgerUnreachable, OSError) as error:
                    pause_s = self._failed(error)
                except Exception as error:
                    self._ctx.log.exception("defect")
                    pause_s = self._failed(error)
                if ctx.news.wait(pause_s) and not ctx.stop.is_set():
                    # The news of a manifest comes a moment before the ledger knows of its bundle.
                    ctx.stop.wait(SOON_S)
                ctx.news.clear()
            self._close()

    def _round(self) -> float:
        ctx = self._ctx
        route = ctx.route
        if self._stopped_by is not None and self._stopped_by == self._trust(route):
            return route.poll_s
        self._stopped_by = None
        if route.paused:
            self.status = "paused by a person"
            return route.poll_s
        if ctx.pressure().pause:
            self.status = "paused: the receiver asks for it"
            return route.poll_s
        self._looked_at = float("-inf")
        if not self._names(route):
            self.status = "outbox empty"
            if self._troubled:
                # Nothing to send that could show that the other side is there again; it also warms the connection up.
                self._connected(route).stat("inbox")
                self._worked()
            return route.poll_s
        if self._receiver_is_behind():
            return LOOK_AGAIN_S  # a receipt is news, and ends the pause
        self._done = self._moved = 0
        started = time.monotonic()
        ship_all(
            self._bundles(route),
            self._connected(route),
            on_bytes=self._moving,
            on_done=self._sent,
            on_spoilt=self._spoilt,
        )
        self._in_flight.clear()
        self._worked()
        if route.mode == "auto" and self._remote is not None:
            self._auto.think(route, self._remote.link(), self._moved, time.monotonic() - started)
        return 0.0 if self._done else route.poll_s

    def _names(self, route: RouteSettings) -> list[str]:
        """Bundles that wait, in the order in which they go."""
        if time.monotonic() - self._looked_at < LOOK_AGAIN_S:
            return [name for name in self._order if name not in self._in_flight]
        ctx = self._ctx
        with ctx.ledger.read() as conn:
            rows = shipping.bundles_of(conn, ctx.name, "packed")
            frames = shipping.frames_in(conn, [row.bundle for row in rows])
        packed = [
            PackedBundle(row.bundle, row.created_at, tuple(frames[row.bundle]), route.lossy and row.lossless)
            for row in rows
        ]
        turn = turn_of(route, science_first=ctx.pressure().science_first)
        self._order = ship_order(packed, turn, now())
        self._looked_at = time.monotonic()
        self.status = f"{len(rows)} bundles in the outbox"
        return [name for name in self._order if name not in self._in_flight]

    def _bundles(self, route: RouteSettings) -> Iterator[Bundle]:
        """The next bundle each time one is asked for, as long as the route is as it was."""
        ctx = self._ctx
        started = time.monotonic()
        while not ctx.stop.is_set():
            if ctx.route != route or ctx.pressure().pause:
                return
            if route.mode == "auto" and time.monotonic() - started > AUTO_S:
                return
            if self._receiver_is_behind():
                return
            names = self._names(route)
            if not names:
                return
            name = names[0]
            self._in_flight[name] = time.monotonic()
            try:
                bundle = open_bundle(ctx.outbox / f"{name}.json")
            except (BadDocument, OSError) as error:
                undo(ctx, name, f"the packed copy is spoilt: {error}")
                continue
            yield bundle

    def _receiver_is_behind(self) -> bool:
        """Whether so many bundles wait for their receipts that a new, live one would stand in a queue at the receiver.

        A receiver that says nothing at all is no reason to wait: what is sent now is there when it comes back.
        """
        ctx = self._ctx
        if ctx.word is None or now() - ctx.word.at > SILENT_S:
            return False
        link = self._remote.link() if self._remote is not None else None
        most = WINDOW + int(WINDOW_PER_S * (link.round_trip_s if link is not None else 0.0))
        with ctx.ledger.read() as conn:
            return shipping.count_bundles(conn, ctx.name, "sent") >= most

    def _connected(self, route: RouteSettings) -> Remote:
        streams = 1 if route.mode == "serial" else route.streams
        if self._remote is None or self._opened_for != as_opened(route):
            self._close()
            self._remote = self._ctx.open(streams)
            self._opened_for = as_opened(route)
        else:
            self._remote.set_streams(streams)
        return self._remote

    def _moving(self, count: int) -> None:
        self._moved += count

    def _sent(self, bundle: Bundle) -> None:
        ctx, manifest = self._ctx, bundle.manifest
        seconds = time.monotonic() - self._in_flight.get(manifest.bundle, time.monotonic())
        with ctx.ledger.begin() as conn:
            row = shipping.bundle_row(conn, manifest.bundle)
            if row is not None and row.state == "packed":
                advance(conn, "bundle", manifest.bundle, "sent", now=now())
        ctx.sent.set()
        self._done += 1
        self._in_flight.pop(manifest.bundle, None)
        self._order = [name for name in self._order if name != manifest.bundle]
        ctx.log.info("bundle sent", bundle=manifest.bundle, bytes=manifest.size, seconds=round(seconds, 3))
        fields = {"bytes": manifest.size, "seconds": seconds, "frames": len(manifest.frames)}
        ctx.spool.write("bundle_sent", fields, {"route": ctx.name})

    def _spoilt(self, bundle: Bundle, error: Exception) -> None:
        undo(self._ctx, bundle.manifest.bundle, f"the packed copy is spoilt: {error}")

    def _worked(self) -> None:
        self._backoff.reset()
        if self._troubled:
            for about in ("unreachable", "refused", "full", "host_key"):
                self._ctx.resolve(about)
            self._troubled = False

    def _failed(self, error: Exception) -> float:
        ctx, self._troubled = self._ctx, True
        if self._remote is not None:
            self._remote.close()  # and keep it: it remembers which pieces of a half-sent bundle have arrived
        names = sorted(self._in_flight)
        before, self._reached = self._reached, (tuple(names), self._moved)
        further = bool(self._moved) and (before[0] != tuple(names) or self._moved > before[1])
        if self._done or further:
            self._backoff.reset()  # the line carries something: the pauses begin anew
        pause_s = self._backoff.next_s()
        self.status = f"waiting: {error}"
        kind = type(error).__name__
        ctx.log.warning("route pauses", error=kind, reason=str(error), pause_s=round(pause_s, 1))
        ctx.spool.write("route_error", {"pause_s": pause_s, "reason": str(error)}, {"route": ctx.name, "error": kind})
        self._in_flight.clear()
        if in_vain(error, moved=self._moved, through=bool(self._done) or further):
            count_attempts(ctx, names, error)
        if isinstance(error, HostKeyMismatch):
            self._stopped_by = self._trust(ctx.route)
            self.status = f"stopped: {error}"
            ctx.alert("host_key", f"{error}: the route is stopped until known_hosts changes", severity=2)
        elif isinstance(error, Refused):
            ctx.alert("refused", str(error), severity=2)
        elif isinstance(error, NoSpace):
            ctx.alert("full", str(error))
        elif self._backoff.at_most():
            ctx.alert("unreachable", str(error))
        return pause_s

    def _trust(self, route: RouteSettings) -> tuple[object, ...]:
        """What decides whether a host is trusted: when it changes, a stopped route tries again."""
        stamp = None
        if route.known_hosts is not None and route.known_hosts.exists():
            stamp = route.known_hosts.stat().st_mtime_ns
        return route.url, route.known_hosts, stamp, self._ctx.book.generation

    def _close(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None
