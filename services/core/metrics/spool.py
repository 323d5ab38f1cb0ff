"""The metrics spool: points lie on the disk first, and leave it only when the server has them.

One SQLite file per host, shared by all daemons and by programs that record with a `Monitor`. Nothing is gathered in the
process: what `write` returns from is in the file, also when the process is killed the moment after.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.core.errors import ServiceError
from services.core.log import get_logger
from services.core.metrics.blocks import BLOCK_POINTS, Block, blocks_of
from services.core.metrics.layout import FileId, file_at, is_damage, open_file, put_aside
from services.core.metrics.line import Field, line

if TYPE_CHECKING:
    from services.core.settings import Settings

KEEP_POINTS: Final = 100_000_000
KEEP_BYTES: Final = 2_000_000_000
# How far below its bounds a spool that has run full is brought, so that it is not trimmed at every point.
_TRIMMED: Final = 0.98


class SpoolUnwritable(ServiceError):
    """The spool's file cannot be written or read (disk full, no permission, locked for too long): nothing was changed.

    `begun_anew`: it was damaged, and a new one lies in its place; the next try may work.
    """

    def __init__(self, message: str, *, begun_anew: bool = False) -> None:
        super().__init__(message)
        self.begun_anew = begun_anew


@dataclass(frozen=True)
class Point:
    """One point; `time_ns` is nanoseconds since 1970 UTC, None for now."""

    measurement: str
    fields: Mapping[str, Field]
    tags: Mapping[str, str]
    time_ns: int | None = None


@dataclass(frozen=True)
class Recorded:
    """A calculation of an observation that is done: what `Monitor.check` asks for. `tags` is sorted JSON."""

    log: str
    field: str
    observation: str
    tags: str
    points: int
    at: float


class Spool:
    """Append points. What takes them out again is in `drainage`.

    When the server stays away for longer than the spool can hold (`keep_points`, `keep_bytes` of what lies in it), the
    oldest points go, and a point of measurement `metrics_dropped` says how many.
    """

    def __init__(self, path: Path, site: str, keep_points: int = KEEP_POINTS, keep_bytes: int = KEEP_BYTES) -> None:
        self.path = path
        self.site = site
        self._keep_points = keep_points
        self._keep_bytes = keep_bytes
        self._block_points = max(1, min(BLOCK_POINTS, keep_points // 10))
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection
        self._file: FileId | None
        try:
            self._connection, self._file = open_file(path)
        except (sqlite3.Error, OSError) as error:
            # On a full disk a daemon must start all the same. The first use tries again.
            self._connection, self._file = sqlite3.connect(":memory:", check_same_thread=False), None
            get_logger().error("the metrics spool cannot be opened", path=str(path), reason=str(error))
        self._unwritten = 0

    def write(
        self,
        measurement: str,
        fields: Mapping[str, Field],
        tags: Mapping[str, str] | None = None,
        time_ns: int | None = None,
    ) -> None:
        """Append one point; the site is a tag of every point. `time_ns` is nanoseconds since 1970 UTC (default now)."""
        self.write_points([Point(measurement, fields, tags or {}, time_ns)])

    def write_points(self, points: Iterable[Point]) -> None:
        """Append many points in one transaction."""
        now_ns = time.time_ns()
        made = (
            line(point.measurement, {"site": self.site, **point.tags}, point.fields, _or(point.time_ns, now_ns))
            for point in points
        )
        self.write_lines([text for text in made if text is not None])

    def write_lines(self, lines: Iterable[str]) -> None:
        """Append lines of line protocol in one transaction.

        A point that cannot be written must never stop a frame: that is logged, and counted in the next point that can.
        """
        blocks = list(blocks_of(lines, self._block_points))
        points = sum(block.points for block in blocks)
        try:
            self.append(blocks)
        except SpoolUnwritable as error:
            self._unwritten += points
            get_logger().error("metrics lost", points=points, error=str(error))

    def append(self, blocks: Iterable[Block], recorded: Iterable[Recorded] = ()) -> None:
        """Append blocks, and the log of what they were calculated for, in one transaction.

        Raises
        ------
        SpoolUnwritable
            None of it was written.
        """
        rows = [(block.points, block.body) for block in blocks]
        done = [(each.log, each.field, each.observation, each.tags, each.points, each.at) for each in recorded]
        if not rows and not done:
            return
        if self._unwritten:
            rows += self._own("metrics_dropped", {"points": self._unwritten}, {"why": "unwritable"})
        try:
            self._insert(rows, done)
        except SpoolUnwritable as error:
            if not error.begun_anew:
                raise
            self._insert(rows, done)
        self._unwritten = 0

    def _insert(self, rows: Sequence[tuple[int, bytes]], done: Sequence[tuple[object, ...]]) -> None:
        with self.writing() as connection:
            connection.executemany("INSERT INTO blocks (points, body) VALUES (?, ?)", rows)
            connection.executemany("INSERT OR REPLACE INTO recorded VALUES (?, ?, ?, ?, ?, ?)", done)
            self._drop_oldest(connection)

    def _drop_oldest(self, connection: sqlite3.Connection) -> None:
        points, size = connection.execute("SELECT points, bytes FROM totals").fetchone()
        if points <= self._keep_points and size <= self._keep_bytes:
            return
        much_points, much_bytes = points - self._keep_points * _TRIMMED, size - self._keep_bytes * _TRIMMED
        newest = connection.execute("SELECT max(id) FROM blocks").fetchone()[0]
        gone, gone_bytes, last = 0, 0, 0
        for block, count, length in connection.execute("SELECT id, points, length(body) FROM blocks ORDER BY id"):
            if block == newest or (gone >= much_points and gone_bytes >= much_bytes):
                break
            gone, gone_bytes, last = gone + count, gone_bytes + length, block
        connection.execute("DELETE FROM blocks WHERE id <= ?", (last,))
        rows = self._own("metrics_dropped", {"points": gone, "bytes": gone_bytes}, {"why": "full"})
        connection.executemany("INSERT INTO blocks (points, body) VALUES (?, ?)", rows)
        get_logger().error("the metrics spool is full, the oldest points are gone", points=gone, bytes=gone_bytes)

    def _own(self, measurement: str, fields: Mapping[str, Field], tags: Mapping[str, str]) -> list[tuple[int, bytes]]:
        text = line(measurement, {"site": self.site, **tags}, fields, time.time_ns())
        return [(block.points, block.body) for block in blocks_of([text] if text else [])]

    def count(self) -> tuple[int, int]:
        """Points waiting, and points set aside."""
        with self.reading() as connection:
            rejected = connection.execute("SELECT count(*) FROM rejected").fetchone()[0]
            return connection.execute("SELECT points FROM totals").fetchone()[0], rejected

    def size(self) -> int:
        """Bytes of the points that wait."""
        with self.reading() as connection:
            return int(connection.execute("SELECT bytes FROM totals").fetchone()[0])

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone.

        Raises
        ------
        SpoolUnwritable
            The file cannot be read.
        """
        with self._lock:
            try:
                self._find_again()
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise SpoolUnwritable(f"{self.path}: {error}", begun_anew=self._healed(error)) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in one transaction, which is taken back when an error leaves the block.

        Raises
        ------
        SpoolUnwritable
            Nothing was changed.
        """
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _find_again(self) -> None:
        """Open the file anew when another one lies there: somebody found it damaged, or took it away."""
        if self._file is None or file_at(self.path) != self._file:
            self._connection.close()
            self._file = None  # if it cannot be opened now, the next use tries again
            self._connection, self._file = open_file(self.path)

    def _healed(self, error: Exception) -> bool:
        """Whether the file was damaged and a new one, with what could be read of it, is in its place."""
        if not is_damage(error):
            return False
        self._connection.close()
        try:
            put_aside(self.path, self._file, error)
            self._file = None
            self._connection, self._file = open_file(self.path)
        except (sqlite3.Error, OSError) as again:
            get_logger().error("no new metrics spool could be begun", path=str(self.path), reason=str(again))
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def open_spool(settings: Settings) -> Spool:
    """The spool of a host."""
    metrics = settings.metrics
    return Spool(settings.metrics_spool, settings.site, metrics.keep_points, metrics.keep_bytes)


def _or(time_ns: int | None, now_ns: int) -> int:
    return now_ns if time_ns is None else time_ns
