"""The data centre's side of the ledger: arrivals, tasks, quality, products, calibrations."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from services.core.ledger import registry
from services.core.ledger.registry_schema import made_from
from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import calibrations, frames, products, qa, task_inputs, tasks
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


def free_task(
    conn: Connection,
    task: str,
    came_from: str,
    to: str,
    parameters: Mapping[str, Any],
    inputs: Iterable[tuple[str, str]],
    now: float,
    reason: str | None = None,
) -> bool:
    """Make a waiting (or an outdated, settled) task ready with these inputs, or let it wait again.

    False when somebody else has moved it since it was looked at.
    """
    locked = select(tasks.c.state).where(tasks.c.task == task).with_for_update()
    if conn.execute(locked).scalar_one_or_none() != came_from:
        return False
    set_inputs(conn, task, inputs)
    values = {"parameters": dict(parameters), "attempts": 0, "not_before": 0.0}
    advance(conn, "task", task, to, now=now, reason=reason, **values)
    return True


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
    """Record products, and the task's inputs as what they are made from; the same path made again replaces the old."""
    query = select(task_inputs.c.sha256, task_inputs.c.role).where(task_inputs.c.task == task)
    inputs = [{"sha256": sha256, "role": role} for sha256, role in conn.execute(query)]
    for item in made:
        row = {"path": item.path, "sha256": item.sha256, "kind": item.kind, "task": task, "created_at": now}
        upsert(conn, products, row)
        set_made_from(conn, item.path, inputs)


def set_made_from(conn: Connection, path: str, inputs: Sequence[Mapping[str, str]]) -> None:
    """Record what a file was made from: `sha256` and `role` of each input."""
    conn.execute(delete(made_from).where(made_from.c.path == path))
    if inputs:
        conn.execute(insert(made_from), [{"path": path, **given} for given in inputs])


def add_made_from(conn: Connection, path: str, sha256: str, role: str) -> None:
    """Record one more input of a file than its task is planned with."""
    upsert(conn, made_from, {"path": path, "sha256": sha256, "role": role})


def drop_product(conn: Connection, path: str) -> None:
    """Forget a product that is no more."""
    conn.execute(delete(made_from).where(made_from.c.path == path))
    conn.execute(delete(products).where(products.c.path == path))


def add_calibration(
    conn: Connection,
    made: Product,
    *,
    production: str,
    night: str,
    date_obs: str,
    key: Mapping[str, Any],
    task: str | None,
    now: float,
    temperature_c: float | None = None,
) -> None:
    """Record a master. Older ones of the same task stay on record, for tasks that were planned with them.

    Without `temperature_c` it is the median of what the frames of its task say, if they say anything.
    """
    row = {"sha256": made.sha256, "path": made.path, "kind": made.kind, "production": production, "night": night}
    more = {"date_obs": date_obs, "key": dict(key), "task": task, "created_at": now}
    if temperature_c is None and task is not None:
        temperature_c = _temperature_c(conn, task)
    upsert(conn, calibrations, {**row, **more, "temperature_c": temperature_c})
    if task is not None:
        registry.review_after(conn, production, task, made.sha256, now)


def _temperature_c(conn: Connection, task: str) -> float | None:
    """Median of the temperatures of a task's frames."""
    query = select(frames.c.identity).join(task_inputs, task_inputs.c.sha256 == frames.c.sha256)
    stored = conn.execute(query.where(task_inputs.c.task == task, task_inputs.c.role == "frame")).scalars()
    known = [value for identity in stored if (value := identity.get("temperature_c")) is not None]
    return statistics.median(known) if known else None


def set_qa(conn: Connection, task: str, rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Record the checks of a task, in place of those of an earlier run of it.

    Returns
    -------
    list of (check, detector, amplifier)
        What the earlier run had a result of, and this one has none.
    """
    place = (qa.c.check, qa.c.detector, qa.c.amplifier)
    before = {(row[0], row[1], row[2]) for row in conn.execute(delete(qa).where(qa.c.task == task).returning(*place))}
    for row in rows:
        conn.execute(insert(qa).values(task=task, **row))
    return sorted(before - {(row["check"], row["detector"], row["amplifier"]) for row in rows})
