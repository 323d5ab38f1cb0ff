"""The tasks themselves: inputs from the ledger, products from `processors`, and how both are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.core.ledger.centre import Connection, Row


@dataclass(frozen=True)
class Point:
    """A number to be told to InfluxDB. `time_ns` is the observation's own time where there is one."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float | int | bool | str]


@dataclass(frozen=True)
class Outcome:
    """What a task leaves behind. `settle` writes it into the ledger, in the transaction that makes the task done."""

    settle: Callable[[Connection, Row, float], None]
    tags: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()


@dataclass(frozen=True)
class Input:
    """One input of a task: a raw frame or a calibration product, where it lies, and its sha256 by the ledger."""

    sha256: str
    role: str
    path: Path
    identity: Mapping[str, Any]
