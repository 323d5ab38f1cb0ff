"""Lines of a table of text → samples: headers, columns, times, and what must be set aside. Pure; parsed in bulk."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.housekeeping.ordering import Sequencer
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import Bad
from services.housekeeping.times import AHEAD_NS

_NOTHING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "---"})
# (cells of the time columns joined by a blank, time of the row before) → nanoseconds
Clock = Callable[[str, int | None], int]


@dataclass(frozen=True)
class TableFormat:
    """What the settings say of a table; `columns` empty: every column that is not ignored, under its own name."""

    delimiter: str
    time: tuple[str, ...]
    comment: str = "#"
    header: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """Which cells of a line are what."""

    width: int
    time: tuple[int, ...]
    numbers: tuple[tuple[int, str], ...]  # (cell, parameter)
    words: tuple[tuple[int, str], ...]
    units: Mapping[str, str]


@dataclass(frozen=True)
class Where:
    """What the lines belong to, and the limits of what is believed; nanoseconds since 1970 UTC."""

    source: str
    origin: str
    now_ns: int
    future_ns: int


def columns_of(names: Sequence[str], form: TableFormat) -> Columns | None:
    """The columns of a header, or None when the line is no header: it does not name every time column."""
    clean = [name.strip() for name in names]
    if not all(name in clean for name in form.time):
        return None
    while clean and not clean[-1]:
        clean.pop()
    numbers: list[tuple[int, str]] = []
    words: list[tuple[int, str]] = []
    units: dict[str, str] = {}
    taken = set(form.time)
    for cell, name in enumerate(clean):
        known = form.columns.get(name, name if not form.columns else "")
        if not name or not known or name in form.time or name in form.ignore:
            continue
        parameter, again = known, 1
        while parameter in taken:  # two columns of one name are two parameters
            again += 1
            parameter = f"{known}_{again}"
        taken.add(parameter)
        (words if name in form.text or parameter in form.text else numbers).append((cell, parameter))
        unit = form.units.get(parameter) or form.units.get(name)
        if unit:
            units[parameter] = unit
    time = tuple(clean.index(name) for name in form.time)
    return Columns(len(clean), time, tuple(numbers), tuple(words), units)


class TableReader:
    """Reads the lines of one file, piece by piece; the pieces may be cut anywhere between lines.

    `header` and `order` are the state that a restart continues from.
    """

    def __init__(self, form: TableFormat, header: Sequence[str] | None, order: Mapping[str, Any] | None) -> None:
        self._form = form
        self.header: list[str] | None = list(header) if header else list(form.header) or None
        self._columns = columns_of(self.header, form) if self.header else None
        self.sequencer = Sequencer(order)
        self.clock_ahead = 0

    def read(self, lines: Sequence[str], first_line: int, clock: Clock, where: Where, bad: Bad) -> Iterator[Samples]:
        """Samples of whole lines; `first_line` is the number of the first, for what is set aside.

        One `Samples` for each header: when the columns change in the middle of a file, so do the parameters.
        """
        times: list[int] = []
        rows: list[Sequence[str]] = []
        for number, line in enumerate(lines, first_line):
            text = line.rstrip("\r\n")
            if not text.strip() or (self._form.comment and text.startswith(self._form.comment)):
                continue
            try:
                cells = self._split(text)
                found = columns_of(cells, self._form) if self._may_be_header(text) else None
                if found is not None:
                    if found != self._columns:
                        yield from self._samples(times, rows, where, first_line, bad)
                        times, rows = [], []
                        self._columns = found
                        self.header = [cell.strip() for cell in cells]
                    continue
                when = self._when(cells, text, clock, where)
            except (ValueError, csv.Error, OverflowError) as error:
                bad.add(where.origin, number, " ".join(str(error).split()), text)
                continue
            if when is not None:
                times.append(when)
                rows.append(cells)
        yield from self._samples(times, rows, where, first_line, bad)

    def _split(self, text: str) -> list[str]:
        if '"' in text:
            return next(csv.reader([text], delimiter=self._form.delimiter))
        return text.split(self._form.delimiter)

    def _may_be_header(self, text: str) -> bool:
        return all(name in text for name in self._form.time)

    def _when(self, cells: list[str], text: str, clock: Clock, where: Where) -> int | None:
        """The time of a row; None when it was there before."""
        columns = self._columns
        if columns is None:
            raise ValueError(f"no header yet with the column {self._form.time[0]!r}")
        if len(cells) == columns.width + 1 and not cells[-1].strip():
            cells.pop()
        if len(cells) != columns.width:
            raise ValueError(f"{len(cells)} columns, expected {columns.width}")
        written = " ".join(cells[cell].strip() for cell in columns.time)
        when = clock(written, self.sequencer.last)
        if when <= 0:
            raise ValueError(f"the time {written!r} lies before 1970")
        if when > where.now_ns + where.future_ns:
            raise ValueError(f"the time {written!r} lies {(when - where.now_ns) / 3.6e12:.1f} h in the future")
        self.clock_ahead += when > where.now_ns + AHEAD_NS
        return self.sequencer.place(when, text)

    def _samples(
        self, times: list[int], rows: list[Sequence[str]], where: Where, line: int, bad: Bad
    ) -> Iterator[Samples]:
        columns = self._columns
        if columns is None or not rows:
            return
        values, wrong = _numbers(rows, [cell for cell, _ in columns.numbers])
        if wrong:
            _, column, text = wrong[0]
            reason = f"{len(wrong)} cells are no numbers and count as none, the first in {columns.numbers[column][1]}"
            bad.add(where.origin, line, reason, text)
        yield Samples(
            source=where.source,
            parameters=tuple(parameter for _, parameter in columns.numbers),
            times_ns=np.array(times, dtype=np.int64),
            values=values,
            texts={parameter: tuple(row[cell].strip() for row in rows) for cell, parameter in columns.words},
            units=columns.units,
            origin=where.origin,
        )


def _numbers(
    rows: Sequence[Sequence[str]], cells: Sequence[int]
) -> tuple[npt.NDArray[np.float64], list[tuple[int, int, str]]]:
    """Values (rows, cells), and (row, cell, text) of what should be a number and is not."""
    shape = (len(rows), len(cells))
    if not cells:
        return np.empty(shape), []
    pick = itemgetter(*cells) if len(cells) > 1 else lambda row: (row[cells[0]],)
    flat = [text for row in rows for text in pick(row)]
    try:
        if not any("_" in text for text in flat):  # float() takes 1_000, an instrument never means it
            return np.fromiter(map(float, flat), np.float64, len(flat)).reshape(shape), []
    except ValueError:
        pass
    wrong: list[tuple[int, int, str]] = []
    values = np.empty(len(flat))
    for index, text in enumerate(flat):
        values[index] = number = to_number(text)
        if math.isnan(number) and text.strip().lower() not in _NOTHING:
            wrong.append((*divmod(index, len(cells)), text))
    return values.reshape(shape), wrong


def to_number(text: str) -> float:
    """A number, or NaN where there is none."""
    if "_" in text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan
