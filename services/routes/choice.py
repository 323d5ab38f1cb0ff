"""What a route packs next, from the ledger: live frames and backlog first, lossless twins when the link is idle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from services.core.ledger import shipping
from services.core.ledger.shipping import Wanting
from services.core.route_settings import RouteSettings
from services.routes.batches import Batching, due_batches
from services.routes.order import Exposure, Turn, exposures


@dataclass(frozen=True)
class Choice:
    """The frames of the next bundle (None: nothing is due), and those that no route wants.

    `follow_up`: they went as a quick look, their lossless form follows.
    """

    batch: Sequence[Any] | None
    follow_up: bool = False
    unrouted: tuple[Any, ...] = ()


def turn_of(route: RouteSettings, *, science_first: bool = False) -> Turn:
    """How a route orders its frames."""
    return Turn(route.priority, route.mode == "serial", science_first, route.live_s)


def choose_batch(
    conn: Connection,
    name: str,
    route: RouteSettings,
    wanting: Wanting,
    drain: float,
    now: float,
    later: Collection[str] = (),
) -> Choice:
    """The next bundle of a route, unless its outbox holds `ahead_bundles`; frames put off till `later` are left out."""
    waiting, unrouted = [], []
    # Not lossy (any more): what went as a quick look only waits for its pixels like the others.
    for frame in shipping.waiting_for_route(conn, name, lossless=not route.lossy):
        wanted = wanting(frame)
        if name in wanted and frame.sha256 not in later:
            waiting.append(frame)
        elif not wanted:
            unrouted.append(frame)
    room = shipping.count_bundles(conn, name, "packed", "held") < route.ahead_bundles
    if not room:
        return Choice(None, unrouted=tuple(unrouted))
    how, turn = Batching.of(route, drain), turn_of(route)
    due = due_batches(_grouped(conn, name, waiting), how, turn, now)
    if due:
        return Choice(due[0], unrouted=tuple(unrouted))
    # In mode endofnight what came after the drain waits for the next one, and holds nothing up.
    blocked = bool(waiting) and route.mode != "endofnight"
    if route.lossy and route.follow_up != "none" and not blocked and not shipping.count_bundles(conn, name, "packed"):
        twins = [frame for frame in shipping.waiting_for_route(conn, name, lossless=True) if name in wanting(frame)]
        twins = [frame for frame in twins if frame.sha256 not in later]
        due = due_batches(_grouped(conn, name, twins), how, turn, now)
        return Choice(due[0] if due else None, follow_up=True, unrouted=tuple(unrouted))
    return Choice(None, unrouted=tuple(unrouted))


def _grouped(conn: Connection, name: str, waiting: Sequence[Any]) -> list[Exposure]:
    groups = exposures(waiting)
    partial = [group.key for group in groups if not group.complete]
    return exposures(waiting, shipping.started_exposures(conn, name, partial)) if partial else groups
