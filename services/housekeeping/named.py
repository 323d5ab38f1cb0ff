"""Names of parameters that are made of what a message or a series says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from services.housekeeping.samples import Samples

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST: Final = 120


def fill(template: str, known: Mapping[str, str]) -> str:
    """A template with `{name}` filled in; what is not known stays empty. No format codes, no attributes: data are
    never trusted."""
    made = _PLACE.sub(lambda match: known.get(match[1], ""), template)
    return _CONTROL.sub(" ", made).strip(".")[:_LONGEST]


def in_rows(
    source: str, rows: Sequence[tuple[int, Mapping[str, float | str]]], units: Mapping[str, str], origin: str
) -> list[Samples]:
    """Rows of (time, values by parameter) as samples: neighbours with the same parameters go together."""
    made: list[Samples] = []
    start = 0
    for end in range(1, len(rows) + 1):
        if end < len(rows) and _shape(rows[end][1]) == _shape(rows[start][1]):
            continue
        made.append(_samples(source, rows[start:end], units, origin))
        start = end
    return made


def _shape(values: Mapping[str, float | str]) -> list[tuple[str, bool]]:
    return [(name, isinstance(value, str)) for name, value in values.items()]


def _samples(
    source: str, rows: Sequence[tuple[int, Mapping[str, float | str]]], units: Mapping[str, str], origin: str
) -> Samples:
    first = rows[0][1]
    names = tuple(name for name, value in first.items() if not isinstance(value, str))
    words = [name for name, value in first.items() if isinstance(value, str)]
    grid: list[list[Any]] = [[values[name] for name in names] for _, values in rows]
    return Samples(
        source,
        names,
        np.array([when for when, _ in rows], dtype=np.int64),
        np.array(grid, dtype=np.float64).reshape(len(rows), len(names)),
        {name: tuple(str(values[name]) for _, values in rows) for name in words},
        {name: units[name] for name in (*names, *words) if name in units},
        origin,
    )
