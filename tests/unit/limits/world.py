"""Rows and limits for tests, in a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from services.housekeeping.limits.book import LimitBook, load_limits
from services.housekeeping.limits.engine import Engine
from services.housekeeping.samples import Samples

S = 1_000_000_000
START = 1_767_225_600 * S  # 2026-01-01T00:00Z


def limits(directory: Path, rules: str, head: str = "") -> LimitBook:
    """A book of source `cam`; `rules` are lines below `parameters`."""
    path = directory / "limits.yaml"
    lines = "".join(f"      {line}\n" for line in rules.splitlines() if line.strip())
    path.write_text(f"{head}\nsources:\n  cam:\n    parameters:\n{lines}", encoding="utf-8")
    return load_limits(path)


def rows(
    values: Mapping[str, Sequence[float]],
    begin_s: float = 0,
    every_s: float = 1,
    units: Mapping[str, str] | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
) -> Samples:
    """Rows of source `cam` at even times."""
    lengths = {len(column) for column in (*values.values(), *(texts or {}).values())}
    (length,) = lengths
    times = START + np.round((begin_s + every_s * np.arange(length)) * S).astype(np.int64)
    table = np.array([list(column) for column in values.values()], dtype=np.float64).T.reshape(length, len(values))
    words = {name: tuple(column) for name, column in (texts or {}).items()}
    return Samples("cam", tuple(values), times, table, words, units or {})


def told(engine: Engine, samples: Samples) -> list[tuple[str, bool, int]]:
    """(parameter:kind, opened, severity) of what feeding says."""
    return [(one.alert.split(":", 2)[2], one.opened, one.severity) for one in engine.feed(samples)]
