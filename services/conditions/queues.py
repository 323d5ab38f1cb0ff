"""The queues: tasks that wait for too long, that nobody works on, that failed, or that lost their worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, func, or_, select

from services.conditions.base import Eye, Finding, IsOpen, Report, above, listed, words_of_time
from services.core.condition_settings import QueueConditions
from services.core.errors import RedisUnreachable
from services.core.ledger.schema import events, tasks
from services.core.metrics.spool import Point
from services.core.queues import connect, reaching_redis
from services.core.settings import RedisSettings

_LISTED: Final = 200
_MESSAGES: Final = "queue:notifications:"  # raised, and ended, by whoever sends messages (services.alerts.outbox)
_LOST: Final = ("worker % fell silent", "its process ended %")


@dataclass(frozen=True)
class QueueFacts:
    """A queue: tasks that could run and wait, and when the oldest of them became ready, seconds since 1970 UTC."""

    name: str
    depth: int
    oldest_at: float | None


@dataclass(frozen=True)
class Facts:
    """All queues of a production.

    `workers` is how many are alive, None when Redis does not tell (`redis_fault` says why); `running` how many tasks
    are in hand; `failed` are (task, reason) pairs; `lost` how many leases ran out within the last hour.
    """

    queues: tuple[QueueFacts, ...]
    workers: int | None
    running: int
    failed: tuple[tuple[str, str], ...]
    lost: int
    redis_fault: str | None = None


def read_queues(conn: Connection, production: str, now: float, failed_within_s: float) -> dict[str, Any]:
    """What the ledger knows, as the fields of `Facts`."""
    mine = tasks.c.production == production
    waiting = select(tasks.c.queue, func.count(), func.min(tasks.c.updated_at)).where(
        mine, tasks.c.state.in_(("ready", "queued")), tasks.c.not_before <= now
    )
    rows = conn.execute(waiting.group_by(tasks.c.queue).order_by(tasks.c.queue)).all()
    running = select(func.count()).select_from(tasks).where(mine, tasks.c.state == "running")
    failed = select(tasks.c.task, tasks.c.reason).where(
        mine, tasks.c.state == "failed", tasks.c.updated_at > now - failed_within_s
    )
    lost = select(func.count()).select_from(events)
    lost = lost.where(events.c.at > now - 3600.0, events.c.subject == "task", events.c.from_state == "running")
    lost = lost.where(or_(*(events.c.reason.like(pattern) for pattern in _LOST)))
    return {
        "queues": tuple(QueueFacts(name, depth, oldest) for name, depth, oldest in rows),
        "running": conn.execute(running).scalar_one(),
        "failed": tuple(
            (task, reason or "") for task, reason in conn.execute(failed.order_by(tasks.c.updated_at).limit(_LISTED))
        ),
        "lost": conn.execute(lost).scalar_one(),
    }


def live_workers(redis: RedisSettings) -> int:
    """Workers that RQ has heard of lately, on all hosts; RedisUnreachable when it does not answer."""
    client = connect(redis, timeout_s=3.0)
    try:
        with reaching_redis():
            names: Any = client.smembers("rq:workers")
            return sum(int(client.exists(name)) for name in names)
    finally:
        client.close()


def gather(conn: Connection, production: str, now: float, settings: QueueConditions, count: Callable[[], int]) -> Facts:
    """Ask the ledger and Redis."""
    known = read_queues(conn, production, now, settings.failed_within_s or 0.0)
    try:
        return Facts(workers=count(), **known)
    except RedisUnreachable as error:
        return Facts(workers=None, redis_fault=str(error), **known)


def decide(facts: Facts, settings: QueueConditions, now: float, is_open: IsOpen) -> list[Finding]:
    """Findings about all queues."""
    findings = [finding for queue in facts.queues for finding in _one(queue, settings, now, is_open)]
    if facts.redis_fault is not None:
        text = f"Redis does not answer, no task is started (none is lost): {facts.redis_fault}"
        findings.append(Finding("queue:redis", text, 2))
    oldest_s = max((now - queue.oldest_at for queue in facts.queues if queue.oldest_at is not None), default=0.0)
    waits = sum(queue.depth for queue in facts.queues)
    limit = settings.no_worker_s
    if limit is not None and facts.workers == 0 and facts.running == 0 and waits and oldest_s > limit:
        text = f"no worker is alive, and {waits} tasks wait, the oldest for {words_of_time(oldest_s)}"
        findings.append(Finding("queue:no_worker", text, 2, {"value": oldest_s, "limit": limit, "unit": "s"}))
    if settings.failed_within_s is not None and facts.failed:
        names = [f"{task}: {reason}" if len(facts.failed) == 1 else task for task, reason in facts.failed]
        text = f"{len(facts.failed)} tasks have failed (nightferry retry): {listed(names)}"
        findings.append(Finding("task:failed", text, 1, {"value": len(facts.failed)}))
    lost = settings.leases_lost_per_hour
    if lost is not None and above(facts.lost, lost - 1, is_open=is_open("queue:leases"), back=0.5):
        text = f"{facts.lost} tasks lost their worker within an hour: workers die, or hang"
        findings.append(Finding("queue:leases", text, 2, {"value": facts.lost, "limit": lost}))
    return findings


def _one(queue: QueueFacts, settings: QueueConditions, now: float, is_open: IsOpen) -> list[Finding]:
    findings = []
    alert = f"queue:{queue.name}:oldest"
    age_s = 0.0 if queue.oldest_at is None else now - queue.oldest_at
    if settings.oldest_s is not None and above(age_s, settings.oldest_s, is_open=is_open(alert)):
        text = f"a task of queue {queue.name} has been waiting for {words_of_time(age_s)}; {queue.depth} wait"
        findings.append(Finding(alert, text, 1, {"value": age_s, "limit": settings.oldest_s, "unit": "s"}))
    alert = f"queue:{queue.name}:depth"
    if settings.depth is not None and above(queue.depth, settings.depth, is_open=is_open(alert)):
        text = f"{queue.depth} tasks wait in queue {queue.name}, the oldest for {words_of_time(age_s)}"
        findings.append(Finding(alert, text, 1, {"value": queue.depth, "limit": settings.depth}))
    return findings


def measure(queues: Sequence[QueueFacts], known: Sequence[str], now: float) -> list[Point]:
    """One point per queue, the empty ones too."""
    by_name = {queue.name: queue for queue in queues}
    points = []
    for name in sorted({*known, *by_name}):
        queue = by_name.get(name, QueueFacts(name, 0, None))
        oldest_s = 0.0 if queue.oldest_at is None else max(0.0, now - queue.oldest_at)
        points.append(Point("queue_age", {"oldest_s": oldest_s, "depth": queue.depth}, {"queue": name}))
    return points


def look(eye: Eye) -> Report:
    """See the module; only where the conductor runs, which knows the production."""
    redis, conduct, settings = eye.settings.redis, eye.settings.conduct, eye.settings.conditions.queues
    if redis is None or conduct is None:
        return Report(())
    ours = (name for name in eye.open if name.startswith("queue:") and not name.startswith(_MESSAGES))
    owned = ("task:failed", *ours)
    if settings is None:
        return Report(owned)
    with eye.ledger.read() as conn:
        facts = gather(conn, conduct.production, eye.now, settings, lambda: live_workers(redis))
    facts = replace(facts, queues=tuple(replace(queue, oldest_at=eye.when(queue.oldest_at)) for queue in facts.queues))
    known = eye.settings.work.queues if eye.settings.work is not None else ()
    points = measure(facts.queues, known, eye.now)
    return Report(owned, tuple(decide(facts, settings, eye.now, eye.is_open)), tuple(points))
