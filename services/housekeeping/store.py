"""What the housekeeper remembers: `STATE_DIR/housekeeping.sqlite`.

The positions of every source, the state of the limits, the last values and the recent history are written in one
transaction (`Store.commit`), so that a process that dies continues from one moment, not from several. Other
processes read the file while it is written to: `open_store(path, readonly=True)`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from services.core.errors import ServiceError
from services.housekeeping.history import History
from services.housekeeping.lastvalues import Last, LastValues, Standing
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import BadRow, Position

__all__ = ["STORE_NAME", "Last", "Standing", "Store", "StoreUnreachable", "open_store"]

STORE_NAME: Final = "housekeeping.sqlite"
_VERSION: Final = 1
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MOST_SET_ASIDE: Final = 10_000  # rows that are kept; older ones go
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS positions (
    source TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (source, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_aside (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL, line INTEGER NOT NULL,
    reason TEXT NOT NULL, text TEXT NOT NULL);
"""


class StoreUnreachable(ServiceError):
    """The housekeeper's file cannot be opened, or another version wrote it."""


class StoreDamaged(StoreUnreachable):
    """The housekeeper's file is no database any more: it is set aside at the next start."""


class StoreOfAnotherVersion(StoreUnreachable):
    """Another version of the program wrote the file: it must not be touched, a person decides."""

    exit_code: ClassVar[int] = 2


class Store:
    """The open file; one process writes, any number read."""

    def __init__(self, connection: sqlite3.Connection, keep_s: float) -> None:
        self._db = connection
        self._history = History(connection, keep_s)
        self._last = LastValues(connection)

    def positions(self, source: str) -> dict[str, dict[str, Any]]:
        """Where a source stood when it was last committed."""
        rows = self._db.execute("SELECT key, value FROM positions WHERE source = ?", (source,))
        return {key: json.loads(value) for key, value in rows}

    def state(self, name: str) -> Any:
        """A state that was committed under this name (`limits`: that of the engine), or None."""
        row = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    @property
    def identity(self) -> str:
        """Name of this file's life: another one when the file is lost and made anew."""
        return str(self.state("identity"))

    def commit(
        self,
        samples: Sequence[Samples] = (),
        positions: Mapping[str, Mapping[str, Position | None]] | None = None,
        states: Mapping[str, Any] | None = None,
        standings: Iterable[Standing] = (),
        bad: Mapping[str, Sequence[BadRow]] | None = None,
        now: float = 0.0,
    ) -> None:
        """Keep all of it, or nothing.

        Parameters
        ----------
        positions
            By source, as in `Batch.positions`.
        states
            By name, JSON; only those that changed.
        standings
            Verdicts and limits that changed.
        now : float
            Seconds since 1970 UTC, of our clock.

        Raises
        ------
        StoreUnreachable
            The disk is full or the file is locked for too long: nothing was kept. `StoreDamaged`: nor will it be.
        """
        try:
            with self._transaction():
                self._keep(samples, positions or {}, states or {}, standings, bad or {}, now)
        except sqlite3.Error as error:
            raise _named(error)(f"{STORE_NAME}: {error}") from None

    def _keep(
        self,
        samples: Sequence[Samples],
        positions: Mapping[str, Mapping[str, Position | None]],
        states: Mapping[str, Any],
        standings: Iterable[Standing],
        bad: Mapping[str, Sequence[BadRow]],
        now: float,
    ) -> None:
        for source, changed in positions.items():
            self._put_positions(source, changed)
        for name, value in states.items():
            self._db.execute("REPLACE INTO state VALUES (?, ?)", (name, json.dumps(value, separators=(",", ":"))))
        for one in samples:
            self._last.put(one, round(now * 1e9))
        self._last.judge(standings)
        self._history.add(samples, round(now * 1e9))
        self._set_aside(bad, now)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._last.forget_what_was_known()
            self._history.forget_what_was_known()
            raise

    def _put_positions(self, source: str, changed: Mapping[str, Position | None]) -> None:
        gone = [(source, key) for key, value in changed.items() if value is None]
        kept = [
            (source, key, json.dumps(value, separators=(",", ":")))
            for key, value in changed.items()
            if value is not None
        ]
        self._db.executemany("DELETE FROM positions WHERE source = ? AND key = ?", gone)
        self._db.executemany("REPLACE INTO positions VALUES (?, ?, ?)", kept)

    def _set_aside(self, bad: Mapping[str, Sequence[BadRow]], now: float) -> None:
        rows = [
            (now, source, row.origin, row.line, row.reason, row.text) for source, found in bad.items() for row in found
        ]
        if rows:
            self._db.executemany(
                "INSERT INTO set_aside (at, source, origin, line, reason, text) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            self._db.execute(
                "DELETE FROM set_aside WHERE id <= (SELECT max(id) FROM set_aside) - ?", (_MOST_SET_ASIDE,)
            )

    def last(self) -> list[Last]:
        """The last value of every parameter, by source and name."""
        return self._last.all()

    def set_aside(self, limit: int = 100) -> list[tuple[float, str, BadRow]]:
        """Rows that nobody could use, the newest first: (when they were met, source, row)."""
        query = "SELECT at, source, origin, line, reason, text FROM set_aside ORDER BY id DESC LIMIT ?"
        return [(row[0], row[1], BadRow(*row[2:])) for row in self._db.execute(query, (limit,))]

    def trend(
        self, source: str, parameter: str, seconds: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times (ns) and values of a parameter in the last `seconds` before its last value, oldest first."""
        query = "SELECT time_ns FROM last WHERE source = ? AND parameter = ?"
        row = self._db.execute(query, (source, parameter)).fetchone()
        if row is None:
            return np.empty(0, np.int64), np.empty(0)
        return self._history.read(source, parameter, row[0] - round(seconds * 1e9), row[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _named(error: sqlite3.Error) -> type[StoreUnreachable]:
    return StoreDamaged if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED else StoreUnreachable


def open_or_begin_anew(path: Path, keep_s: float) -> tuple[Store, str]:
    """Open the file to write; one that is damaged is set aside and begun anew, and the second word says why.

    Raises what `open_store` raises otherwise: another version's file is left alone.
    """
    try:
        return open_store(path, keep_s=keep_s), ""
    except StoreDamaged as error:
        for each in (path.with_name(path.name + end) for end in ("", "-wal", "-shm")):
            with contextlib.suppress(FileNotFoundError):
                each.replace(each.with_name(f"{each.name}.damaged"))
        return open_store(path, keep_s=keep_s), str(error)


def open_store(path: Path, *, readonly: bool = False, keep_s: float = 7200.0) -> Store:
    """Open the housekeeper's file; made when it is not there, unless `readonly`.

    Raises
    ------
    StoreUnreachable
        It is not there, or cannot be read.
    StoreDamaged
        It is no database, or its pages do not fit together.
    StoreOfAnotherVersion
    """
    with contextlib.ExitStack() as undo:
        try:
            if not readonly:
                path.parent.mkdir(parents=True, exist_ok=True)
            place = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}"
            db = sqlite3.connect(place, uri=True, timeout=30, isolation_level=None, check_same_thread=readonly)
            undo.callback(db.close)
            _prepare(db, path, readonly=readonly)
        except sqlite3.Error as error:
            raise _named(error)(f"{path}: {error}; has `nightferry housekeep` run?") from None
        undo.pop_all()  # it is good, and stays open
    return Store(db, keep_s)


def _prepare(db: sqlite3.Connection, path: Path, *, readonly: bool) -> None:
    """See that it is ours and whole; lay the tables."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise StoreOfAnotherVersion(f"{path}: written by another version (its number is {version}, ours {_VERSION})")
    if readonly and not version:
        raise StoreUnreachable(f"{path}: not made yet")
    if readonly:
        return
    if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise StoreDamaged(f"{path}: {' '.join(str(found).split())}")
    db.executescript("PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA cache_size=-8000;")
    tables = _SCHEMA + LastValues.SCHEMA + History.SCHEMA
    identity = f"INSERT OR IGNORE INTO state VALUES ('identity', '\"{uuid.uuid4().hex}\"');"
    db.executescript(f"BEGIN;{tables}{identity}PRAGMA user_version={_VERSION};COMMIT;")
