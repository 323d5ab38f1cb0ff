"""What planning reads of the ledger: nights in view, their frames, tasks and inputs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, exists, func, or_, select, union

from services.core.ledger.schema import events, frames, task_inputs, tasks


def last_event(conn: Connection) -> int:
    """Number of the newest event: nothing has moved while it stays the same."""
    return conn.execute(select(func.max(events.c.id))).scalar_one() or 0


def active_nights(conn: Connection, since: float) -> list[str]:
    """Nights in which a frame arrived or moved since a time, is not planned yet, or has a task that still waits."""
    planned = exists().where(task_inputs.c.sha256 == frames.c.sha256)
    unplanned = (frames.c.state == "arrived") & ~planned
    moved = select(frames.c.night).where(or_(frames.c.updated_at >= since, unplanned))
    waiting = select(tasks.c.night).where(tasks.c.state == "waiting")
    return sorted(conn.execute(union(moved, waiting)).scalars())


def frames_of(conn: Connection, nights: Sequence[str]) -> Sequence[Row]:
    """The frames of these nights, without the quarantined ones."""
    query = select(frames).where(frames.c.night.in_(nights), frames.c.state != "quarantined")
    return conn.execute(query.order_by(frames.c.sha256)).all()


def tasks_of(conn: Connection, production: str, nights: Sequence[str]) -> Sequence[Row]:
    """The tasks of these nights."""
    return conn.execute(select(tasks).where(tasks.c.production == production, tasks.c.night.in_(nights))).all()


def inputs_of(conn: Connection, production: str, nights: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Inputs (sha256, role) of the tasks of these nights, by task, in a fixed order."""
    result: dict[str, list[tuple[str, str]]] = {}
    query = select(task_inputs).join(tasks, tasks.c.task == task_inputs.c.task)
    query = query.where(tasks.c.production == production, tasks.c.night.in_(nights))
    for row in conn.execute(query.order_by(task_inputs.c.role, task_inputs.c.sha256)):
        result.setdefault(row.task, []).append((row.sha256, row.role))
    return result
