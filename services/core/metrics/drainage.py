"""The end of the spool that is drained: take the oldest blocks, settle them, make one of many small ones."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.core.metrics.blocks import BLOCK_POINTS, blocks_of, join, lines_of
from services.core.metrics.spool import Spool

KEEP_REJECTED: Final = 100_000


@dataclass(frozen=True)
class Waiting:
    """A block in the spool."""

    id: int
    points: int
    body: bytes


@dataclass(frozen=True)
class Rejected:
    """A point that the server will never take. `at` is seconds since 1970 UTC (None: set aside by an old version)."""

    id: int
    line: str
    reason: str
    at: float | None


def take(spool: Spool, points: int) -> list[Waiting]:
    """The oldest blocks, of at most so many points together, in the order they were written; always one at least.

    A block is never cut. Empty when nothing waits.
    """
    found: list[Waiting] = []
    with spool.reading() as connection:
        for row in connection.execute("SELECT id, points, body FROM blocks ORDER BY id"):
            if found and points < row[1]:
                break
            found.append(Waiting(*row))
            points -= row[1]
    return found


def waiting_lines(spool: Spool, limit: int) -> list[str]:
    """The oldest lines that are not delivered yet, to be looked at."""
    return [text for block in take(spool, limit) for text in lines_of(block.body)][:limit]


def settle(spool: Spool, blocks: Sequence[Waiting], rejected: Sequence[tuple[str, str]] = ()) -> None:
    """These blocks are delivered, but for the lines that the server will never take, each with the reason.

    Raises
    ------
    SpoolUnwritable
        They stay in the spool, and are delivered once more.
    """
    with spool.writing() as connection:
        # Of as many points as were taken: somebody else may have gathered it with others under its number meanwhile.
        taken = [(block.id, block.points) for block in blocks]
        gone = connection.executemany("DELETE FROM blocks WHERE id = ? AND points = ?", taken).rowcount
        if not gone:
            return  # settled by somebody else, who has set aside the same
        rows = [(text, reason, time.time()) for text, reason in rejected]
        connection.executemany("INSERT INTO rejected (line, reason, at) VALUES (?, ?, ?)", rows)
        if rows:
            newest = connection.execute("SELECT max(id) FROM rejected").fetchone()[0]
            connection.execute("DELETE FROM rejected WHERE id <= ?", (newest - KEEP_REJECTED,))


def gather(spool: Spool, points: int = BLOCK_POINTS) -> int:
    """Make one packed block of the oldest run of small ones; how many blocks there are less now.

    For an outage: points that were written one by one then take a fraction of the room.
    """
    with spool.writing() as connection:
        run = _small_run(connection, points)
        if len(run) < 2:
            return 0
        where = "FROM blocks WHERE id BETWEEN ? AND ?"
        rows = connection.execute(f"SELECT points, body {where} ORDER BY id", (run[0], run[-1])).fetchall()
        connection.execute(f"DELETE {where}", (run[0], run[-1]))
        joined = (run[0], sum(row[0] for row in rows), join([row[1] for row in rows]))
        connection.execute("INSERT INTO blocks (id, points, body) VALUES (?, ?, ?)", joined)
    return len(run) - 1


def _small_run(connection: sqlite3.Connection, points: int) -> list[int]:
    """The first blocks that stand side by side, are small, and have at most so many points together."""
    run: list[int] = []
    together = 0
    for block, count in connection.execute("SELECT id, points FROM blocks ORDER BY id"):
        if count > points // 2 or together + count > points:
            if len(run) > 1:
                return run
            run, together = [], 0
        if count <= points // 2:
            run.append(block)
            together += count
    return run


def shrink(spool: Spool) -> None:
    """Give pages that nobody needs any more back to the disk."""
    with spool.reading() as connection:
        # Each step of this statement frees one page: `execute` makes one step, `executescript` all of them.
        connection.executescript("PRAGMA incremental_vacuum(10000)")


def rejected_points(spool: Spool, limit: int = -1) -> list[Rejected]:
    """Points set aside, the newest first; -1: all of them."""
    with spool.reading() as connection:
        rows = connection.execute("SELECT id, line, reason, at FROM rejected ORDER BY id DESC LIMIT ?", (limit,))
        return [Rejected(*row) for row in rows]


def settle_rejected(spool: Spool, ids: Sequence[int], *, again: bool) -> int:
    """Take points from those set aside: into the spool once `again`, or away; how many of them there were.

    Raises
    ------
    SpoolUnwritable
        They stay where they are.
    """
    with spool.writing() as connection:
        lines: list[str] = []
        for each in ids:
            lines += [text for (text,) in connection.execute("SELECT line FROM rejected WHERE id = ?", (each,))]
            connection.execute("DELETE FROM rejected WHERE id = ?", (each,))
        rows = [(block.points, block.body) for block in blocks_of(lines if again else ())]
        connection.executemany("INSERT INTO blocks (points, body) VALUES (?, ?)", rows)
    return len(lines)


def recorded_tags(spool: Spool, log: str, field: str, observation: str) -> list[str]:
    """Tags (sorted JSON) of every record of a field for an observation."""
    with spool.reading() as connection:
        rows = connection.execute(
            "SELECT tags FROM recorded WHERE log = ? AND field = ? AND observation = ?", (log, field, observation)
        )
        return [tags for (tags,) in rows]
