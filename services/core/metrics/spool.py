"""The metrics spool: points lie on the disk first, and leave it only when InfluxDB has them.

One SQLite file per host, shared by all daemons. A point that cannot be written must never stop a frame: errors are
logged and counted, not raised.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.core.log import get_logger
from services.core.metrics.line import Field, line

_SCHEMA = """
CREATE TABLE IF NOT EXISTS points (id INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rejected (id INTEGER PRIMARY KEY, line TEXT NOT NULL, reason TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Point:
    """One point; `time_ns` is nanoseconds since 1970 UTC, None for now."""

    measurement: str
    fields: Mapping[str, Field]
    tags: Mapping[str, str]
    time_ns: int | None = None


class Spool:
    """Append points; take the oldest; forget what was delivered."""

    def __init__(self, path: Path, site: str, keep_points: int = 5_000_000) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._site = site
        self._keep = keep_points
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # A metric may be lost with the power, a frame may not: NORMAL is enough here.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._written = 0

    def write(
        self,
        measurement: str,
        fields: Mapping[str, Field],
        tags: Mapping[str, str] | None = None,
        time_ns: int | None = None,
    ) -> None:
        """Append one point; the site is a tag of every point. `time_ns` is nanoseconds since 1970 UTC (default now)."""
        text = line(measurement, {"site": self._site, **(tags or {})}, fields, time_ns or time.time_ns())
        if text is not None:
            self.write_lines([text])

    def write_points(self, points: Iterable[Point]) -> None:
        """Append many points in one transaction."""
        now_ns = time.time_ns()
        made = (
            line(point.measurement, {"site": self._site, **point.tags}, point.fields, point.time_ns or now_ns)
            for point in points
        )
        self.write_lines([text for text in made if text is not None])

    def write_lines(self, lines: Iterable[str]) -> None:
        """Append lines of line protocol in one transaction."""
        rows = [(text,) for text in lines]
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._connection.executemany("INSERT INTO points (line) VALUES (?)", rows)
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._written += len(rows)
                if self._written >= 10_000:
                    self._written = 0
                    self._drop_oldest()
        except sqlite3.Error as error:
            get_logger().error("metrics lost", points=len(rows), error=str(error))

    def _drop_oldest(self) -> None:
        # The stated policy: when InfluxDB stays away for longer than the spool can hold, the oldest points go.
        newest = self._connection.execute("SELECT max(id) FROM points").fetchone()[0] or 0
        self._connection.execute("DELETE FROM points WHERE id <= ?", (newest - self._keep,))

    def oldest(self, limit: int) -> Sequence[tuple[int, str]]:
        """The oldest points that are not delivered yet, in the order they were written."""
        with self._lock:
            return self._connection.execute("SELECT id, line FROM points ORDER BY id LIMIT ?", (limit,)).fetchall()

    def forget(self, ids: Sequence[int]) -> None:
        """These points are delivered."""
        with self._lock:
            self._connection.executemany("DELETE FROM points WHERE id = ?", [(point,) for point in ids])

    def set_aside(self, point: int, text: str, reason: str) -> None:
        """InfluxDB will never take this point: keep it beside, so that it does not block the rest."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT OR REPLACE INTO rejected VALUES (?, ?, ?)", (point, text, reason))
            self._connection.execute("DELETE FROM points WHERE id = ?", (point,))
            self._connection.execute("COMMIT")

    def count(self) -> tuple[int, int]:
        """Points waiting, and points set aside."""
        with self._lock:
            waiting = self._connection.execute("SELECT count(*) FROM points").fetchone()[0]
            rejected = self._connection.execute("SELECT count(*) FROM rejected").fetchone()[0]
        return waiting, rejected

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
