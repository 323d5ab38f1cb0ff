"""What waits: per route at the telescope, per queue at the data centre."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from services.core.errors import RedisUnreachable
from services.core.ledger import shipping
from services.core.ledger.engine import Ledger
from services.core.ledger.schema import bundles, tasks
from services.core.settings import Settings
from services.routes.book import RouteBook

_REDIS_PATIENCE_S: Final = 1.0


@dataclass(frozen=True)
class RouteLine:
    """How a route stands: frames that no bundle carries yet, bundles under way, bundles that need a person."""

    route: str
    mode: str
    paused: bool
    waiting: int
    waiting_bytes: int
    bundles: int
    bundle_bytes: int
    oldest_s: float | None
    stuck: int

    def record(self) -> dict[str, Any]:
        """The line as an object."""
        return {"what": "route", **{name: getattr(self, name) for name in self.__dataclass_fields__}}


@dataclass(frozen=True)
class QueueLine:
    """How a queue stands, by the ledger; `in_redis` is None where Redis was not asked or did not answer."""

    queue: str
    waiting: int
    ready: int
    running: int
    failed: int
    oldest_s: float | None
    in_redis: int | None

    def record(self) -> dict[str, Any]:
        """The line as an object."""
        return {"what": "queue", **{name: getattr(self, name) for name in self.__dataclass_fields__}}


def routes_of(settings: Settings, ledger: Ledger, now: float) -> list[RouteLine]:
    """Every route of the settings."""
    if not settings.routes:
        return []
    book = RouteBook(settings, ledger)
    wanting = book.wanting()
    with ledger.read() as conn:
        return [_route(conn, name, book, wanting, now) for name in book.names]


def _route(conn: Connection, name: str, book: RouteBook, wanting: shipping.Wanting, now: float) -> RouteLine:
    route = book.get(name)
    waiting = [frame for frame in shipping.waiting_for_route(conn, name, lossless=False) if name in wanting(frame)]
    mine = bundles.c.route == name
    under_way = select(func.count(), func.sum(bundles.c.size), func.min(bundles.c.created_at)).where(mine)
    number, size, oldest = conn.execute(under_way.where(bundles.c.state.in_(("packed", "sent")))).one()
    since = [frame.created_at for frame in waiting] + ([oldest] if oldest is not None else [])
    return RouteLine(
        route=name,
        mode=route.mode,
        paused=route.paused,
        waiting=len(waiting),
        waiting_bytes=sum(frame.size for frame in waiting),
        bundles=number,
        bundle_bytes=int(size or 0),
        oldest_s=now - min(since) if since else None,
        stuck=shipping.count_bundles(conn, name, "held", "refused"),
    )


def queues_of(conn: Connection, depths: dict[str, int], now: float) -> list[QueueLine]:
    """Every queue that has, or had, tasks; `depths` are those of Redis."""
    states: dict[str, dict[str, int]] = {queue: {} for queue in depths}
    oldest: dict[str, float] = {}
    since = func.min(tasks.c.updated_at)
    query = select(tasks.c.queue, tasks.c.state, func.count(), since).where(tasks.c.state != "done")
    for queue, state, number, first in conn.execute(query.group_by(tasks.c.queue, tasks.c.state)):
        states.setdefault(queue, {})[state] = number
        if state in ("ready", "queued"):
            oldest[queue] = min(oldest.get(queue, first), first)
    return [
        QueueLine(
            queue=queue,
            waiting=found.get("waiting", 0),
            ready=found.get("ready", 0) + found.get("queued", 0),
            running=found.get("running", 0),
            failed=found.get("failed", 0),
            oldest_s=now - oldest[queue] if queue in oldest else None,
            in_redis=depths.get(queue),
        )
        for queue, found in states.items()
    ]


class RedisDepths:
    """Asks Redis for the lengths of the queues, and says in `trouble` when it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues: Any = None
        self.trouble: str | None = None

    def read(self) -> dict[str, int]:
        """Lengths by queue; empty where there is no Redis, or it does not answer within a second."""
        return dict(self._read())

    def _read(self) -> Iterator[tuple[str, int]]:
        if self._settings.redis is None:
            return
        from services.core.queues import Queues, connect

        if self._queues is None:
            self._queues = Queues(connect(self._settings.redis, _REDIS_PATIENCE_S), 60.0)
        try:
            yield from self._queues.depths().items()
            self.trouble = None
        except RedisUnreachable as error:
            self.trouble = str(error)
