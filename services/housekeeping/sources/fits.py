"""Tables of FITS files that grow row by row, or come as new files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.core.housekeep_settings import FitsSource
from services.housekeeping.directory import Directory
from services.housekeeping.follow import Followed, Follower
from services.housekeeping.ordering import Sequencer
from services.housekeeping.samples import Samples
from services.housekeeping.sources import fits_table
from services.housekeeping.sources.base import Bad, Batch, Position
from services.housekeeping.sources.fits_table import FitsTable, NoTable
from services.housekeeping.sources.fits_times import time_scale, times_ns
from services.housekeeping.times import AHEAD_NS

_MOST_ROWS: Final = 50_000  # of one batch


class FitsFiles:
    """A `Source`: rows below those that were read, as far as the header counts them and the file holds them.

    The place that was reached is counted in rows. The same file is known by the last row that was read: its header may
    change (NAXIS2 does whenever rows are added).
    """

    def __init__(self, name: str, settings: FitsSource, positions: Mapping[str, Position]) -> None:
        self._name = name
        self._settings = settings
        self._future_ns = round(settings.future_s * 1e9)
        max_age_s = None if settings.max_age_days is None else settings.max_age_days * 86_400
        self._follower = Follower(Directory(settings.dir, settings.pattern), positions, max_age_s)
        self._told: set[tuple[str, str]] = set()

    def poll(self, now_ns: int) -> Batch:
        """As `Source.poll`."""
        files, forgotten = self._follower.look(now_ns / 1e9)
        positions: dict[str, dict[str, Any] | None] = dict.fromkeys(forgotten)
        samples: list[Samples] = []
        bad = Bad()
        notes: dict[str, int] = {}
        rows_left, more = _MOST_ROWS, False
        for file in files:
            if rows_left <= 0:
                more = True
                break
            began = file.rows, file.gone_at, file.nameless
            if file.nameless is not None:
                before = -1
                while file.rows != before:
                    before = file.rows
                    samples += self._read(file, file.nameless, now_ns, _MOST_ROWS, bad, notes)
                os.close(file.nameless)
                file.nameless = None
            descriptor = self._follower.open(file) if file.gone_at is None else None
            if descriptor is not None:
                before = file.rows
                samples += self._read(file, descriptor, now_ns, rows_left, bad, notes)
                rows_left -= max(0, file.rows - before)
                more = more or file.seen is None
            elif began == (file.rows, None, None):
                continue  # nothing has changed: it is not there, or must not be read
            positions[file.key] = file.position()
        return Batch(tuple(samples), positions, tuple(bad.rows), bad.count, notes, more, self._follower.trouble)

    def committed(self) -> None:
        """Nobody waits for a word."""

    def close(self) -> None:
        """Close the files."""
        self._follower.close()

    def _read(
        self, file: Followed, descriptor: int, now_ns: int, most: int, bad: Bad, notes: dict[str, int]
    ) -> list[Samples]:
        stat = os.fstat(descriptor)
        try:
            table = fits_table.find_table(descriptor, self._settings.hdu)
            time = self._time_column(table)
            scale = time_scale(table, time, self._settings.time_format)
        except NoTable as error:
            file.seen = (stat.st_size, stat.st_mtime_ns)
            if (file.path, str(error)) not in self._told:  # a file that has just been begun has no table yet
                self._told.add((file.path, str(error)))
                bad.add(file.path, 0, str(error), "")
            return []
        if not self._is_same(file, table, descriptor):
            file.begin_again()
            notes["again"] = notes.get("again", 0) + 1
        present = table.present(stat.st_size)
        file.seen = None
        rows = table.read(descriptor, file.rows, min(most, present - file.rows)) if present > file.rows else None
        if rows is None or not len(rows):
            file.seen = (stat.st_size, stat.st_mtime_ns)
            return []
        times = times_ns(fits_table.numbers(rows, table.columns[time], time)[:, 0], scale)
        kept, placed = self._placed(file, times, rows, now_ns, bad, notes)
        made = self._made(file, table, rows[kept], placed, time)
        file.rows += len(rows)
        file.more["row"] = rows[-1].tobytes().hex()[-2048:]
        if file.rows >= present:
            file.seen = (stat.st_size, stat.st_mtime_ns)
        return [made] if len(made) else []

    def _is_same(self, file: Followed, table: FitsTable, descriptor: int) -> bool:
        if not file.rows:
            return True
        last = table.read(descriptor, file.rows - 1, 1)
        return len(last) == 1 and last[0].tobytes().hex()[-2048:] == file.more.get("row")

    def _time_column(self, table: FitsTable) -> int:
        for index, column in enumerate(table.columns):
            if column.name.lower() == self._settings.time.lower() and fits_table.parameters(column, "t") == ("t",):
                return index
        names = ", ".join(column.name for column in table.columns[:20])
        raise NoTable(f"no column {self._settings.time!r} of numbers; there are {names}")

    def _placed(
        self,
        file: Followed,
        times: npt.NDArray[np.object_],
        rows: npt.NDArray[np.void],
        now_ns: int,
        bad: Bad,
        notes: dict[str, int],
    ) -> tuple[list[int], npt.NDArray[np.int64]]:
        """Which rows are taken, and their times."""
        sequencer = Sequencer(file.more.get("order"))
        kept: list[int] = []
        placed: list[int] = []
        for row, when in enumerate(times.tolist()):
            if when is None or when <= 0 or when > now_ns + self._future_ns:
                reason = "no time" if when is None else "a time before 1970" if when <= 0 else "a time in the future"
                bad.add(file.path, file.rows + row + 1, reason, "")
                continue
            own = sequencer.place(when, rows[row].tobytes().decode("latin-1"))
            if own is not None:
                notes["clock_ahead"] = notes.get("clock_ahead", 0) + (own > now_ns + AHEAD_NS)
                kept.append(row)
                placed.append(own)
        for what in ("repeated", "clock_back"):
            notes[what] = notes.get(what, 0) + getattr(sequencer, what)
        file.more["order"] = sequencer.state()
        return kept, np.array(placed, dtype=np.int64)

    def _made(
        self, file: Followed, table: FitsTable, rows: npt.NDArray[np.void], times: npt.NDArray[np.int64], time: int
    ) -> Samples:
        settings = self._settings
        names: list[str] = []
        values = [np.empty((len(rows), 0))]
        texts: dict[str, tuple[str, ...]] = {}
        units: dict[str, str] = {}
        for index, column in enumerate(table.columns):
            name = settings.columns.get(column.name, "" if settings.columns else column.name)
            if index == time or not name or column.name in settings.ignore:
                continue
            if column.kind == "A":
                texts[name] = fits_table.words(rows, index)
                continue
            for parameter in fits_table.parameters(column, name):
                names.append(parameter)
                unit = settings.units.get(name, column.unit)
                if unit:
                    units[parameter] = unit
            if fits_table.parameters(column, name):
                values.append(fits_table.numbers(rows, column, index))
        return Samples(self._name, tuple(names), times, np.concatenate(values, axis=1), texts, units, file.path)
