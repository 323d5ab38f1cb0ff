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


def open_file(path: Path) -> sqlite3.Connection:
    """Open the spool's file, made or brought up to date when needed.

    A file that is no database any more is put beside under another name, and a new one is begun: metrics must not keep
    a daemon from its frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        try:
            return _opened(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
            for end in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
            get_logger().error("the metrics spool is damaged, a new one is begun", put=str(aside), reason=str(error))
            return _opened(path)


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
