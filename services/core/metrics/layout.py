"""The spool's file: its tables, and how an older file is brought up to date without losing a point."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.core.log import get_logger
from services.core.metrics.blocks import blocks_of

VERSION: Final = 2
_WAL_BYTES: Final = 16_000_000

# `totals` has one row, kept true by the triggers inside the transaction of every change: nothing is counted by reading
# all of `blocks`. `bytes` are those of the bodies.
_TABLES: Final = (
    "CREATE TABLE blocks (id INTEGER PRIMARY KEY AUTOINCREMENT, points INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE totals (points INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    """CREATE TRIGGER block_in AFTER INSERT ON blocks BEGIN
       UPDATE totals SET points = points + NEW.points, bytes = bytes + length(NEW.body); END""",
    """CREATE TRIGGER block_out AFTER DELETE ON blocks BEGIN
       UPDATE totals SET points = points - OLD.points, bytes = bytes - length(OLD.body); END""",
    """CREATE TABLE recorded (log TEXT NOT NULL, field TEXT NOT NULL, observation TEXT NOT NULL, tags TEXT NOT NULL,
       points INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (log, field, observation, tags)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS rejected (id INTEGER PRIMARY KEY, line TEXT NOT NULL, reason TEXT NOT NULL)",
    "ALTER TABLE rejected ADD COLUMN at REAL",
)


FileId = tuple[int, int]  # device and inode


def file_at(path: Path) -> FileId | None:
    """Which file lies there; None when none does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is broken, or is no database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_file(path: Path) -> tuple[sqlite3.Connection, FileId | None]:
    """Open the spool's file, made or brought up to date when needed.

    A file that is no database any more is put beside under another name, and a new one is begun: metrics must not keep
    a daemon from its frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        try:
            return _opened(path), file_at(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _begin_anew(path, error)
            return _opened(path), file_at(path)


def put_aside(path: Path, damaged: FileId | None, error: BaseException) -> None:
    """Put a damaged file beside, unless somebody has done so already; what can be read of it is in the new one."""
    with _alone(path):
        if file_at(path) == damaged is not None:
            _begin_anew(path, error)


def _begin_anew(path: Path, error: BaseException) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    with contextlib.closing(_opened(path)) as connection:
        saved = _saved(aside, connection)
    get_logger().error(
        "the metrics spool is damaged, a new one is begun", put=str(aside), reason=str(error), points_saved=saved
    )


def _saved(aside: Path, connection: sqlite3.Connection) -> int:
    """Take over the blocks of a damaged file that can be read, from both of its ends; how many points they hold."""
    connection.execute("BEGIN IMMEDIATE")
    # Not read-only: what lies in its WAL belongs to it.
    with contextlib.closing(sqlite3.connect(aside)) as damaged:
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.DatabaseError):
                for row in damaged.execute(f"SELECT id, points, body FROM blocks ORDER BY id {order}"):
                    connection.execute("INSERT OR IGNORE INTO blocks (id, points, body) VALUES (?, ?, ?)", row)
    connection.execute("COMMIT")
    return int(connection.execute("SELECT points FROM totals").fetchone()[0])


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time opens the file; the others wait."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            # Only an empty file can still choose to give pages back; an old one keeps its size, and uses it again.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            _bring_up_to_date(connection)
        # A metric may be lost with the power, a frame may not: NORMAL is enough here.
        connection.execute("PRAGMA synchronous=NORMAL")
        # A WAL that grew large (somebody read for long, an old file was brought up to date) gives its room back.
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """The tables, and the points of the first layout (one row a point), in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES:
            connection.execute(statement)
        # Numbers of blocks are never given twice, not even by a file that takes another's place: who has delivered a
        # block of the old one must not delete a block of the new one.
        connection.execute("INSERT INTO sqlite_sequence VALUES ('blocks', ?)", (time.time_ns() // 10**6,))
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'points'").fetchone()[0]:
            lines = (line for (line,) in connection.execute("SELECT line FROM points ORDER BY id"))
            for block in blocks_of(lines):
                connection.execute("INSERT INTO blocks (points, body) VALUES (?, ?)", (block.points, block.body))
            connection.execute("DROP TABLE points")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
