"""What all kinds of task share: their inputs from the ledger, and what they leave behind."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from processors.errors import NoCalibration
from processors.fits import Frame, sha256_of
from processors.masters.build import Master, read_master
from services.core.ledger import centre
from services.core.ledger.schema import calibrations, frames, task_inputs, tasks
from services.core.ledger.states import advance
from services.core.metrics.spool import Point
from services.core.settings import Settings

RAW: Final = frozenset({"frame", "reference"})


@dataclass(frozen=True)
class Outcome:
    """What a task leaves behind.

    `settle` writes it down, in the transaction that makes the task done; it may add to `points`, which go out after it.
    """

    settle: Callable[[Connection, float], None]
    tags: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()


@dataclass(frozen=True)
class Input:
    """One input of a task, and where it lies.

    `role` is `frame` (a raw frame the product is made of), `reference` (one that only helps to judge it), or that of a
    master (`processors.masters.ref.Role`).
    """

    sha256: str
    role: str
    path: Path


def inputs_of(conn: Connection, task: str, settings: Settings) -> list[Input]:
    """The inputs of a task, frames first (`NoCalibration` when a master is not on record)."""
    assert settings.archive_dir is not None
    found = []
    for sha256, role in conn.execute(
        select(task_inputs.c.sha256, task_inputs.c.role).where(task_inputs.c.task == task)
    ):
        if role in RAW:
            path = (
                settings.archive_dir / conn.execute(select(frames.c.path).where(frames.c.sha256 == sha256)).scalar_one()
            )
        else:
            stored = select(calibrations.c.path).join(tasks, tasks.c.production == calibrations.c.production)
            stored = stored.where(calibrations.c.sha256 == sha256, tasks.c.task == task)
            text = conn.execute(stored).scalar_one_or_none()
            if text is None:
                raise NoCalibration(f"the master {role} {sha256[:12]} is not on record")
            path = Path(text)
        found.append(Input(sha256, role, path))
    return sorted(found, key=lambda item: (item.role != "frame", item.role, str(item.path)))


def open_masters(inputs: Sequence[Input]) -> dict[str, Master]:
    """The masters among the inputs, by role.

    Raises
    ------
    NoCalibration
        One is not what the ledger says.
    OSError
        One cannot be read now.
    """
    for item in inputs:
        if item.role in RAW:
            continue
        remedy = f"put it back and `nightferry retry`, or `nightferry decertify {item.sha256[:12]}`"
        if not item.path.exists():
            raise FileNotFoundError(errno.ENOENT, f"the master {item.role} is gone: {remedy}", str(item.path))
        if sha256_of(item.path) != item.sha256:
            raise NoCalibration(f"{item.path} is not what the ledger says, its sha256 is another: {remedy}")
    return {item.role: read_master(item.path, item.sha256) for item in inputs if item.role not in RAW}


def product_dir(settings: Settings, row: Row, instrument: str, night: str) -> Path:
    """Where a task's products go; made when it is not there."""
    assert settings.work is not None
    directory = settings.work.products_dir / str(row.production) / instrument / night
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def product(path: Path, kind: str) -> centre.Product:
    """A finished file as the ledger records it."""
    with path.open("rb") as file:
        return centre.Product(str(path), hashlib.file_digest(file, "sha256").hexdigest(), kind)


def advance_if(conn: Connection, sha256: str, came_from: str, to: str, now: float) -> bool:
    """Move a frame on, unless an earlier run of the task has done so; whether it was moved."""
    if centre.frame_state(conn, sha256) != came_from:
        return False
    advance(conn, "frame", sha256, to, now=now)
    return True


def tags_of(frame: Frame) -> dict[str, str]:
    """The tags that every number of a frame carries."""
    identity = frame.identity
    return {"instrument": identity.instrument, "obstype": identity.obstype, "filter": identity.filter}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose tuples are lists, as JSON keeps them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
