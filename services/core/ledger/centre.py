"""The data centre's side of the ledger: arrivals, tasks, quality, products, calibrations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select, union, update

from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import calibrations, events, frames, products, qa, task_inputs, tasks
from services.core.ledger.states import advance, record


def frame_state(conn: Connection, sha256: str) -> str:
    """State of a frame in the archive."""
    return str(conn.execute(select(frames.c.state).where(frames.c.sha256 == sha256)).scalar_one())


def open_tasks(conn: Connection) -> tuple[int, float | None]:
    """How many tasks are not done and not failed, and when the oldest of those that could run became so."""
    query = select(func.count()).select_from(tasks).where(tasks.c.state.not_in(("done", "failed")))
    oldest = select(func.min(tasks.c.updated_at)).where(tasks.c.state.in_(("ready", "queued")))
    return conn.execute(query).scalar_one(), conn.execute(oldest).scalar_one()


# -- planning ---------------------------------------------------------------------------------------------------------


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


def calibrations_of(conn: Connection, production: str, first: str = "", last: str = "99999999") -> Sequence[Row]:
    """The newest master of every task of a production, for nights from `first` to `last`."""
    query = select(calibrations).where(
        calibrations.c.production == production, calibrations.c.night.between(first, last)
    )
    newest = {row.task: row for row in conn.execute(query.order_by(calibrations.c.created_at, calibrations.c.sha256))}
    return [newest[task] for task in sorted(newest)]


@dataclass(frozen=True)
class NewTask:
    """A task to be written into the ledger. `inputs` are (sha256, role) pairs."""

    task: str
    kind: str
    queue: str
    night: str
    state: str
    parameters: Mapping[str, Any]
    inputs: tuple[tuple[str, str], ...]


def add_task(conn: Connection, task: NewTask, production: str, now: float) -> bool:
    """Write a new task; False when it is there already."""
    row = {
        "task": task.task,
        "production": production,
        "kind": task.kind,
        "queue": task.queue,
        "night": task.night,
        "state": task.state,
        "parameters": dict(task.parameters),
        "attempts": 0,
        "not_before": 0.0,
        "created_at": now,
        "updated_at": now,
    }
    if not insert_new(conn, tasks, [row]):
        return False
    record(conn, "task", task.task, task.state, now=now)
    set_inputs(conn, task.task, task.inputs)
    return True


def set_inputs(conn: Connection, task: str, inputs: Iterable[tuple[str, str]]) -> None:
    """Say what a task is made from."""
    conn.execute(delete(task_inputs).where(task_inputs.c.task == task))
    for sha256, role in inputs:
        conn.execute(insert(task_inputs).values(task=task, sha256=sha256, role=role))


def free_task(conn: Connection, task: str, parameters: Mapping[str, Any], inputs: Any, now: float) -> None:
    """A waiting (or an outdated, done) task has all it needs: it is ready, with these inputs."""
    set_inputs(conn, task, inputs)
    advance(conn, "task", task, "ready", now=now, parameters=dict(parameters), attempts=0, not_before=0.0)


# -- dispatch and work ------------------------------------------------------------------------------------------------


def ready_tasks(conn: Connection, production: str, now: float) -> Sequence[Row]:
    """Tasks to be enqueued now, oldest first."""
    query = select(tasks).where(tasks.c.production == production, tasks.c.state == "ready", tasks.c.not_before <= now)
    return conn.execute(query.order_by(tasks.c.created_at, tasks.c.task)).all()


def tasks_in(conn: Connection, production: str, state: str) -> Sequence[Row]:
    """Tasks in one state."""
    return conn.execute(select(tasks).where(tasks.c.production == production, tasks.c.state == state)).all()


def task_row(conn: Connection, task: str) -> Row | None:
    """One task."""
    return conn.execute(select(tasks).where(tasks.c.task == task)).one_or_none()


def claim(conn: Connection, task: str, worker: str, lease_s: float, now: float) -> Row | None:
    """Take a task, if nobody else has it: compare-and-set from ready or queued to running, with a lease.

    Returns
    -------
    The task's row with the attempt counted, or None when another worker was first or the task is settled.
    """
    row = conn.execute(select(tasks).where(tasks.c.task == task).with_for_update()).one_or_none()
    if row is None or row.state not in ("ready", "queued"):
        return None
    lease = now + lease_s
    advance(conn, "task", task, "running", now=now, worker=worker, lease_until=lease, attempts=row.attempts + 1)
    return task_row(conn, task)


def move_if(conn: Connection, task: str, came_from: str, to: str, now: float, reason: str | None = None) -> bool:
    """Move a task, unless somebody else has moved it meanwhile."""
    locked = select(tasks.c.state).where(tasks.c.task == task).with_for_update()
    if conn.execute(locked).scalar_one_or_none() != came_from:
        return False
    advance(conn, "task", task, to, now=now, reason=reason)
    return True


def take_back(
    conn: Connection, task: str, now: float, max_attempts: int, reason: str, worker: str | None = None
) -> bool:
    """Take a running task from a worker that is gone: ready again, or failed when its attempts are used up.

    Without `worker` only a task whose lease has run out is taken; with it, one that this worker holds.
    """
    row = conn.execute(select(tasks).where(tasks.c.task == task).with_for_update()).one_or_none()
    if row is None or row.state != "running":
        return False
    if worker is not None and row.worker != worker:
        return False
    if worker is None and (row.lease_until is None or row.lease_until >= now):
        return False
    state = "failed" if row.attempts >= max_attempts else "ready"
    advance(conn, "task", task, state, now=now, reason=reason)
    return True


def renew_lease(conn: Connection, task: str, worker: str, lease_until: float) -> bool:
    """Keep a task that is still being worked on; False when it has been given to another worker."""
    mine = (tasks.c.task == task) & (tasks.c.worker == worker) & (tasks.c.state == "running")
    return bool(conn.execute(update(tasks).where(mine).values(lease_until=lease_until)).rowcount)


@dataclass(frozen=True)
class Product:
    """A file that a task made. `path` is absolute."""

    path: str
    sha256: str
    kind: str


def add_products(conn: Connection, task: str, made: Iterable[Product], now: float) -> None:
    """Record products; the same path made again replaces the old row."""
    for item in made:
        row = {"path": item.path, "sha256": item.sha256, "kind": item.kind, "task": task, "created_at": now}
        upsert(conn, products, row)


def add_calibration(
    conn: Connection,
    made: Product,
    *,
    production: str,
    night: str,
    date_obs: str,
    key: Mapping[str, Any],
    task: str,
    now: float,
) -> None:
    """Record a master. Older ones of the same task stay on record, for tasks that were planned with them."""
    row = {"sha256": made.sha256, "path": made.path, "kind": made.kind, "production": production, "night": night}
    upsert(conn, calibrations, {**row, "date_obs": date_obs, "key": dict(key), "task": task, "created_at": now})


def set_qa(conn: Connection, task: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record the checks of a task, in place of those of an earlier run of it."""
    conn.execute(delete(qa).where(qa.c.task == task))
    for row in rows:
        conn.execute(insert(qa).values(task=task, **row))
