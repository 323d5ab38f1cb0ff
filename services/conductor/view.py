"""What planning looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from processors.identity import FrameIdentity
from processors.masters.associate import NEEDS, CalibrationKey, MasterRef, Matches, Role, matching_masters
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
    """All that planning looks at.

    `masters` holds what may be chosen, and what was withdrawn. `being_built` are the keys of the masters whose task is
    under way, in whatever night. `spoilt` are the sha256 of masters that were made with a withdrawn one.
    """

    frames: tuple[FrameView, ...]
    tasks: tuple[TaskView, ...]
    masters: tuple[MasterRef, ...]
    being_built: frozenset[CalibrationKey] = frozenset()
    spoilt: frozenset[str] = frozenset()


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
    min_dark: int = 0
    calibrate: Mapping[str, tuple[Role, ...]] = field(default_factory=dict)
    temperature_tolerance_c: float = 5.0

    def choose(self, identity: FrameIdentity, masters: list[MasterRef]) -> Matches:
        """The masters for a frame."""
        return matching_masters(
            identity,
            masters,
            self.calibration_max_age_days,
            needs=self.calibrate.get(identity.instrument, NEEDS),
            temperature_tolerance_c=self.temperature_tolerance_c,
        )

    def fewest(self, kind: str) -> int:
        """Exposures that a master of this kind needs; 0: none is made."""
        return {"bias": self.min_bias, "dark": self.min_dark}.get(kind, self.min_flat)


@dataclass(frozen=True)
class Freed:
    """A task on record that moves on: `ready` with all it needs, or `waiting` because it has lost what it had."""

    task: str
    parameters: Mapping[str, Any]
    inputs: tuple[tuple[str, str], ...]
    came_from: str = "waiting"
    to: str = "ready"
    reason: str | None = None


@dataclass(frozen=True)
class Plan:
    """Tasks to write down, and tasks to move on.

    `held` are nights in which something is to be done again, but not before a task that is under way is settled.
    """

    new: tuple[NewTask, ...]
    freed: tuple[Freed, ...]
    held: frozenset[str] = frozenset()
