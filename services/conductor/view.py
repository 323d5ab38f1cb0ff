"""What planning looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from processors.associate import MasterRef
from processors.identity import FrameIdentity
from services.core.ledger.centre import NewTask


@dataclass(frozen=True)
class FrameView:
    """A frame in the archive. `arrived_at` is seconds since 1970 UTC."""

    sha256: str
    identity: FrameIdentity
    state: str
    arrived_at: float


@dataclass(frozen=True)
class TaskView:
    """A task on record. `inputs` are (sha256, role) pairs."""

    task: str
    kind: str
    state: str
    parameters: Mapping[str, Any]
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class View:
    """All that planning looks at."""

    frames: tuple[FrameView, ...]
    tasks: tuple[TaskView, ...]
    masters: tuple[MasterRef, ...]


@dataclass(frozen=True)
class Rules:
    """How patient and how strict to be; see `ConductSettings`."""

    production: str
    sequence_quiet_s: float
    calibration_wait_s: float
    calibration_max_age_days: int
    min_bias: int
    min_flat: int
    reduce_without: frozenset[str]


@dataclass(frozen=True)
class Freed:
    """A task on record that has now all it needs."""

    task: str
    parameters: Mapping[str, Any]
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Plan:
    """Tasks to write down, and tasks to make ready."""

    new: tuple[NewTask, ...]
    freed: tuple[Freed, ...]
