"""Ledger rows of waiting frames, for decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.routes.order import Exposure, exposures


@dataclass(frozen=True)
class Row:
    name: str
    expid: int
    created_at: float = 0.0
    obstype: str = "science"
    instrument: str = "cam"
    night: str = "20260115"
    identity: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return f"sha-{self.name}"


def mosaic(expid: int, created_at: float = 0.0, **more: Any) -> Row:
    """A file that holds its whole exposure."""
    identity = {"detectors": ["1", "2"], "expected_detectors": 2, **more.pop("identity", {})}
    return Row(f"m{expid:03d}", expid, created_at, identity=identity, **more)


def single(expid: int, detector: int, created_at: float = 0.0, of: int = 3, **more: Any) -> Row:
    """A file that holds one detector of three."""
    identity = {"detectors": [str(detector)], "expected_detectors": of}
    return Row(f"s{expid:03d}-{detector}", expid, created_at, identity=identity, **more)


def names(batches: Any) -> list[list[str]]:
    """The names in batches of rows."""
    return [[row.name for row in batch] for batch in batches]


def grouped(*rows: Row, started: tuple[Any, ...] = ()) -> list[Exposure]:
    """Exposures of rows."""
    return exposures(rows, started)
