"""Mode `auto` at work: looks at the link and the backlog, writes its choice down where the watcher reads it too."""

from __future__ import annotations

from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.core.ledger.route_values import set_value
from services.core.route_settings import RouteSettings
from services.routes.auto import Choice, Sight, choose
from services.shipper.context import RouteContext
from transfer.remotes.base import LinkState

MOST_BATCH = 32


class Autopilot:
    """One route's choice of batch size and streams."""

    def __init__(self, ctx: RouteContext) -> None:
        self._ctx = ctx
        self._choice: Choice | None = None

    def think(self, route: RouteSettings, link: LinkState | None, moved: int, seconds: float) -> None:
        """Look, and write a new choice into the ledger's values of the route; a change is logged with its reason."""
        ctx = self._ctx
        current = self._choice or Choice(route.batch_frames, route.streams)
        chosen = choose(self._sight(link, moved, seconds), current, MOST_BATCH)
        self._choice = chosen
        if (chosen.batch_frames, chosen.streams) == (current.batch_frames, current.streams):
            return
        with ctx.ledger.begin() as conn:
            set_value(conn, ctx.name, "auto_batch_frames", chosen.batch_frames, now())
            set_value(conn, ctx.name, "auto_streams", chosen.streams, now())
        ctx.log.info("auto", batch_frames=chosen.batch_frames, streams=chosen.streams, reason=chosen.reason)
        numbers = {"batch_frames": chosen.batch_frames, "streams": chosen.streams}
        ctx.spool.write("route_auto", {**numbers, "reason": chosen.reason}, {"route": ctx.name})

    def _sight(self, link: LinkState | None, moved: int, seconds: float) -> Sight:
        ctx = self._ctx
        wanting = ctx.book.wanting()
        with ctx.ledger.read() as conn:
            rows = shipping.bundles_of(conn, ctx.name, "packed")
            in_bundles = shipping.frames_in(conn, [row.bundle for row in rows])
            waiting = shipping.waiting_for_route(conn, ctx.name, lossless=False)
        frames = [frame for members in in_bundles.values() for frame in members]
        size = sum(row.size for row in rows) / len(frames) if frames else 0.0
        frames += [frame for frame in waiting if ctx.name in wanting(frame)]
        oldest_s = now() - min((frame.created_at for frame in frames), default=now())
        return Sight(
            round_trip_s=link.round_trip_s if link is not None else 0.0,
            loss=link.loss if link is not None else 0.0,
            bytes_s=moved / seconds if moved and seconds > 0 else None,
            frames=len(frames),
            oldest_s=oldest_s,
            frame_bytes=size,
        )
