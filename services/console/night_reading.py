"""What the ledger knows of a night's newest exposures, read in few, cheap queries."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from services.console.exposures import FrameLine
from services.core.ledger.schema import bundle_frames, bundles, events, frames, products, qa, task_inputs, tasks

_CHUNK: Final = 500
_CHECKS: Final = {"seeing": "seeing", "sky_level": "sky"}
_TASKS: Final = {
    ("check", "running"): "checking",
    ("reduce", "running"): "reducing",
    ("reduce", "waiting"): "waits",
    ("reduce", "ready"): "waits",
    ("reduce", "queued"): "waits",
    ("check", "failed"): "FAILED",
    ("reduce", "failed"): "FAILED",
}


def newest_event(conn: Connection) -> int:
    """Number of the last event: as long as it stays, nothing has moved, and nothing need be read again."""
    return int(conn.execute(select(func.max(events.c.id))).scalar() or 0)


def newest_night(conn: Connection) -> str | None:
    """The latest night among the frames that moved last; None in an empty ledger."""
    query = select(frames.c.night).order_by(frames.c.updated_at.desc()).limit(200)
    return max(conn.execute(query).scalars(), default=None)


class NightReader:
    """Reads the frames of a night's newest exposures; remembers what never changes."""

    def __init__(self, production: str) -> None:
        self._production = production
        self._zero_points: dict[tuple[str, str], tuple[float, ...]] = {}

    def read(self, conn: Connection, night: str, last: int | None) -> tuple[list[FrameLine], int]:
        """Frames of the `last` exposures (all: None) of a night, and how many exposures the night has."""
        chosen = self._chosen(conn, night, last)
        query = select(func.count()).select_from(
            select(frames.c.instrument, frames.c.expid).where(frames.c.night == night).distinct().subquery()
        )
        number = int(conn.execute(query).scalar() or 0)
        names = [row.sha256 for row in chosen]
        places = {**dict(_bundle_places(conn, names)), **dict(self._task_places(conn, names))}
        checks = self._checks(conn, names)
        zero_points = self._zero(conn, names)
        return [_line(row, places, checks[row.sha256], zero_points.get(row.sha256, ())) for row in chosen], number

    def _chosen(self, conn: Connection, night: str, last: int | None) -> Sequence[Row]:
        query = select(frames).where(frames.c.night == night)
        if last is not None:
            newest = select(frames.c.expid).where(frames.c.night == night).distinct()
            # Numbers of an instrument grow with time; of several instruments each shows its own newest ones.
            found: list[Row] = []
            for instrument in conn.execute(select(frames.c.instrument).where(frames.c.night == night).distinct()):
                mine = newest.where(frames.c.instrument == instrument[0]).order_by(frames.c.expid.desc()).limit(last)
                expids = conn.execute(mine).scalars().all()
                found += conn.execute(
                    query.where(frames.c.instrument == instrument[0], frames.c.expid.in_(expids))
                ).all()
            return found
        return conn.execute(query).all()

    def _task_places(self, conn: Connection, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        for some in _chunks(names):
            query = select(task_inputs.c.sha256, tasks.c.kind, tasks.c.state).join(tasks)
            mine = (tasks.c.production == self._production) & (task_inputs.c.role == "frame")
            query = query.where(mine, tasks.c.state != "done", tasks.c.kind.in_(("check", "reduce")))
            for sha256, kind, state in conn.execute(query.where(task_inputs.c.sha256.in_(some))):
                if (kind, state) in _TASKS:
                    yield sha256, _TASKS[kind, state]

    def _checks(self, conn: Connection, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = defaultdict(lambda: {"verdicts": {}, "flags": [], "values": {}})
        mine = tasks.c.production == self._production
        for some in _chunks(names):
            count = select(qa.c.sha256, qa.c.verdict, func.count()).join(tasks, tasks.c.task == qa.c.task)
            count = count.where(mine, qa.c.sha256.in_(some)).group_by(qa.c.sha256, qa.c.verdict)
            for sha256, verdict, number in conn.execute(count):
                found[sha256]["verdicts"][verdict] = number
            odd = select(qa.c.sha256, qa.c.flag).join(tasks, tasks.c.task == qa.c.task)
            odd = odd.where(mine, qa.c.sha256.in_(some), qa.c.verdict != "ok", qa.c.flag != "")
            for sha256, flag in conn.execute(odd):
                found[sha256]["flags"].append(flag)
            value = select(qa.c.sha256, qa.c.check, qa.c.value).join(tasks, tasks.c.task == qa.c.task)
            value = value.where(mine, qa.c.sha256.in_(some), qa.c.check.in_(list(_CHECKS)), qa.c.value.is_not(None))
            for sha256, check, number in conn.execute(value):
                found[sha256]["values"].setdefault(_CHECKS[check], []).append(number)
        return found

    def _zero(self, conn: Connection, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
        found = {}
        for some in _chunks(names):
            query = select(task_inputs.c.sha256, products.c.path, products.c.sha256.label("made"))
            query = query.join(tasks, tasks.c.task == task_inputs.c.task).join(
                products, products.c.task == tasks.c.task
            )
            mine = (
                (tasks.c.production == self._production) & (tasks.c.kind == "reduce") & (products.c.kind == "reduced")
            )
            for row in conn.execute(query.where(mine, task_inputs.c.role == "frame", task_inputs.c.sha256.in_(some))):
                key = (row.path, row.made)
                if key not in self._zero_points:
                    self._zero_points[key] = zero_points(Path(row.path))
                found[row.sha256] = self._zero_points[key]
        return found


def zero_points(path: Path) -> tuple[float, ...]:
    """Zero points (mag of 1 e-/s) in the headers of a reduced frame, one per detector that has one."""
    from processors.errors import ProcessorError
    from processors.header import read_headers

    try:
        values = [header.get("NFZPT") for header in read_headers(path)]
    except (OSError, ProcessorError):
        return ()  # the product lies on another host, or was cleared away
    return tuple(float(value) for value in values if isinstance(value, int | float) and math.isfinite(value))


def _bundle_places(conn: Connection, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for some in _chunks(names):
        query = select(bundle_frames.c.sha256, bundles.c.state).join(
            bundles, bundles.c.bundle == bundle_frames.c.bundle
        )
        query = query.where(bundle_frames.c.sha256.in_(some), bundles.c.state.in_(("sent", "held", "refused")))
        yield from ((sha256, state) for sha256, state in conn.execute(query))


def _line(row: Row, places: dict[str, str], checks: dict[str, Any], zero: Sequence[float]) -> FrameLine:
    identity = {**row.identity, "instrument": row.instrument, "night": row.night, "expid": row.expid}
    place = row.state if row.state in ("quarantined", "shipped", "reduced") else places.get(row.sha256, row.state)
    values = {**checks["values"], **({"zero_point": zero} if zero else {})}
    verdicts, flags = checks["verdicts"], tuple(checks["flags"])
    return FrameLine(row.sha256, identity, place, row.mtime, row.updated_at, verdicts, flags, values)


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]
