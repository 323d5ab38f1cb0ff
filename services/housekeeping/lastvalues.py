"""The last value of every parameter, and how it stands: the table `last` of the store."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.housekeeping.samples import Samples
from services.housekeeping.times import AHEAD_NS


@dataclass(frozen=True)
class Last:
    """The last word of a parameter: `value` is None when it was no number, `text` is of columns that are words."""

    source: str
    parameter: str
    time_ns: int
    value: float | None
    text: str | None
    unit: str | None
    verdict: str | None
    limits: Mapping[str, float | None] | None


@dataclass(frozen=True)
class Standing:
    """What the limits say of a parameter: the verdict's word, the limits in force, their unit."""

    source: str
    parameter: str
    verdict: str | None
    limits: Mapping[str, float | None] | None
    unit: str | None = None


class LastValues:
    """The table, within the store's transactions."""

    SCHEMA: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS last (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, parameter TEXT NOT NULL, time_ns INTEGER NOT NULL, value REAL,
    text TEXT, unit TEXT, verdict TEXT, limits TEXT, UNIQUE (source, parameter));
"""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._ids: dict[tuple[str, str], int] = {}

    def forget_what_was_known(self) -> None:
        """A transaction was rolled back: look at the file again."""
        self._ids.clear()

    def all(self) -> list[Last]:
        """Every parameter, by source and name."""
        columns = "source, parameter, time_ns, value, text, unit, verdict, limits"
        rows = self._db.execute(f"SELECT {columns} FROM last ORDER BY source, parameter")
        return [
            Last(source, parameter, time_ns, value, text, unit, verdict, None if limits is None else json.loads(limits))
            for source, parameter, time_ns, value, text, unit, verdict, limits in rows
        ]

    def put(self, samples: Samples, now_ns: int) -> None:
        """The newest row of a batch; one that is older than what is there changes nothing.

        What is there may be of a clock that was ahead and was put right since: beyond `now_ns` nothing is kept.
        """
        if not len(samples):
            return
        row = int(np.argmax(samples.times_ns))
        time_ns = int(samples.times_ns[row])
        source = samples.source
        latest = now_ns + AHEAD_NS
        ids = [self._id(source, parameter, samples.units.get(parameter)) for parameter in samples.parameters]
        values = samples.values[row].tolist()
        self._db.executemany(
            "UPDATE last SET time_ns = ?, value = ?, text = NULL WHERE id = ? AND (time_ns <= ? OR time_ns > ?)",
            [
                (time_ns, None if math.isnan(value) else value, id_, time_ns, latest)
                for value, id_ in zip(values, ids, strict=True)
            ],
        )
        self._db.executemany(
            "UPDATE last SET time_ns = ?, value = NULL, text = ? WHERE id = ? AND (time_ns <= ? OR time_ns > ?)",
            [
                (time_ns, words[row], self._id(source, name, None), time_ns, latest)
                for name, words in samples.texts.items()
            ],
        )

    def _id(self, source: str, parameter: str, unit: str | None) -> int:
        known = self._ids.get((source, parameter))
        if known is not None:
            return known
        self._db.execute(
            "INSERT INTO last (source, parameter, time_ns, unit) VALUES (?, ?, 0, ?) "
            "ON CONFLICT (source, parameter) DO UPDATE SET unit = coalesce(excluded.unit, unit)",
            (source, parameter, unit),
        )
        found = self._db.execute("SELECT id FROM last WHERE source = ? AND parameter = ?", (source, parameter))
        self._ids[source, parameter] = made = int(found.fetchone()[0])
        return made

    def judge(self, standings: Iterable[Standing]) -> None:
        """Verdicts and limits that changed."""
        for one in standings:
            limits = None if one.limits is None else json.dumps(dict(one.limits))
            self._db.execute(
                "UPDATE last SET verdict = ?, limits = ?, unit = coalesce(unit, ?) WHERE id = ?",
                (one.verdict, limits, one.unit, self._id(one.source, one.parameter, None)),
            )
