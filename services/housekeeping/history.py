"""Recent housekeeping, compact: what the last hours of a parameter looked like.

New rows are appended as they come, a batch a blob (`recent`). When a minute's worth is there, they are turned into one
blob that holds every parameter's values side by side (`history`), so that the trend of one of a thousand parameters
reads a thousandth of the bytes. Values are float32: this is for eyes; InfluxDB has every digit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from services.housekeeping.samples import Samples

_NS: Final = 1_000_000_000
_SEGMENT_BATCHES: Final = 60
_SEGMENT_ROWS: Final = 600
_PRUNE_EVERY_NS: Final = 60 * _NS


class History:
    """The two tables of recent values, within the store's transactions."""

    SCHEMA: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS columns (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, names TEXT NOT NULL, UNIQUE (source, names));
CREATE TABLE IF NOT EXISTS recent (
    id INTEGER PRIMARY KEY, columns INTEGER NOT NULL, rows INTEGER NOT NULL, times BLOB NOT NULL, grid BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ix_recent ON recent (columns);
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY, columns INTEGER NOT NULL, rows INTEGER NOT NULL, first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL, times BLOB NOT NULL, grid BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ix_history ON history (columns, last_ns);
"""

    def __init__(self, connection: sqlite3.Connection, keep_s: float) -> None:
        self._db = connection
        self._keep_ns = round(keep_s * 1e9)
        self._columns: dict[tuple[str, tuple[str, ...]], int] = {}
        self._waiting: dict[int, tuple[int, int]] = {}  # columns → batches and rows in `recent`
        self._pruned_ns = 0

    def forget_what_was_known(self) -> None:
        """A transaction was rolled back: look at the file again."""
        self._columns.clear()
        self._waiting.clear()

    def add(self, samples: Sequence[Samples], now_ns: int) -> None:
        """Append rows, the newest `keep_s` of them."""
        for one in samples:
            if not len(one) or not one.parameters:
                continue
            young = one.times_ns >= one.times_ns.max() - self._keep_ns
            times, values = one.times_ns[young], one.values[young]
            columns = self._id(one.source, one.parameters)
            batches, rows = self._waiting.get(columns) or self._count(columns)
            with np.errstate(over="ignore"):
                grid = values.astype(np.float32).tobytes()
            self._db.execute(
                "INSERT INTO recent (columns, rows, times, grid) VALUES (?, ?, ?, ?)",
                (columns, len(times), times.tobytes(), grid),
            )
            self._waiting[columns] = (batches + 1, rows + len(times))
            if batches + 1 >= _SEGMENT_BATCHES or rows + len(times) >= _SEGMENT_ROWS:
                self._turn(columns, len(one.parameters))
        if now_ns - self._pruned_ns >= _PRUNE_EVERY_NS:
            self._pruned_ns = now_ns
            self._prune(now_ns)

    def _id(self, source: str, parameters: tuple[str, ...]) -> int:
        known = self._columns.get((source, parameters))
        if known is None:
            row = (source, json.dumps(parameters))
            self._db.execute("INSERT OR IGNORE INTO columns (source, names) VALUES (?, ?)", row)
            found = self._db.execute("SELECT id FROM columns WHERE source = ? AND names = ?", row)
            self._columns[source, parameters] = known = int(found.fetchone()[0])
        return known

    def _count(self, columns: int) -> tuple[int, int]:
        query = "SELECT count(*), coalesce(sum(rows), 0) FROM recent WHERE columns = ?"
        batches, rows = self._db.execute(query, (columns,)).fetchone()
        return batches, rows

    def _turn(self, columns: int, width: int) -> None:
        """Make one segment, parameter by parameter, of the rows that came one after the other."""
        found = self._db.execute("SELECT times, grid FROM recent WHERE columns = ? ORDER BY id", (columns,)).fetchall()
        times = np.concatenate([np.frombuffer(row[0], np.int64) for row in found])
        grid = np.concatenate([np.frombuffer(row[1], np.float32).reshape(-1, width) for row in found])
        self._db.execute(
            "INSERT INTO history (columns, rows, first_ns, last_ns, times, grid) VALUES (?, ?, ?, ?, ?, ?)",
            (columns, len(times), int(times.min()), int(times.max()), times.tobytes(), grid.T.tobytes()),
        )
        self._db.execute("DELETE FROM recent WHERE columns = ?", (columns,))
        self._waiting[columns] = (0, 0)

    def _prune(self, now_ns: int) -> None:
        """Drop what is older than `keep_s` before the newest value of its source; no clock ahead of ours counts."""
        newest = self._db.execute(
            "SELECT c.source, max(h.last_ns) FROM history h JOIN columns c ON c.id = h.columns "
            "WHERE h.last_ns <= ? GROUP BY c.source",
            (now_ns,),
        ).fetchall()
        for source, last_ns in newest:
            self._db.execute(
                "DELETE FROM history WHERE last_ns < ? AND columns IN (SELECT id FROM columns WHERE source = ?)",
                (last_ns - self._keep_ns, source),
            )

    def read(
        self, source: str, parameter: str, first_ns: int, last_ns: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times and values of a parameter between two moments, in the order of time."""
        times: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        values: list[npt.NDArray[np.float64]] = [np.empty(0)]
        for columns, names in self._db.execute("SELECT id, names FROM columns WHERE source = ?", (source,)).fetchall():
            parameters = json.loads(names)
            if parameter not in parameters:
                continue
            index = parameters.index(parameter)
            query = "SELECT id, rows, times FROM history WHERE columns = ? AND last_ns >= ? AND first_ns <= ?"
            for segment, rows, stamps in self._db.execute(query, (columns, first_ns, last_ns)).fetchall():
                with self._db.blobopen("history", "grid", segment, readonly=True) as blob:
                    blob.seek(4 * rows * index)
                    values.append(np.frombuffer(blob.read(4 * rows), np.float32).astype(np.float64))
                times.append(np.frombuffer(stamps, np.int64))
            for stamps, grid in self._db.execute("SELECT times, grid FROM recent WHERE columns = ?", (columns,)):
                table = np.frombuffer(grid, np.float32).reshape(-1, len(parameters))
                times.append(np.frombuffer(stamps, np.int64))
                values.append(table[:, index].astype(np.float64))
        when, what = np.concatenate(times), np.concatenate(values)
        inside = (when >= first_ns) & (when <= last_ns)
        order = np.argsort(when[inside], kind="stable")
        return when[inside][order], what[inside][order]
