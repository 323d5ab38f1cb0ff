"""Rows of a FITS binary table, read where they lie: a table that grows is not whole, and cfitsio would refuse it.

Source: FITS Standard 4.0, section 7.3 (binary tables): big-endian, TSCAL/TZERO, TNULL, NaN in float columns.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from transfer.cards import card_int, card_logical, card_text, find

BLOCK: Final = 2880
_MOST_BLOCKS: Final = 1000
_MOST_HDUS: Final = 1000
_MOST_COLUMNS: Final = 999
_MOST_WIDTH: Final = 1 << 20  # bytes of a row
_MOST_BYTES: Final = 32 << 20  # of one reading
_MOST_ELEMENTS: Final = 64  # of a column that is a vector: each becomes a parameter
_FORM: Final = re.compile(r"(\d*)([LXBIJKAEDCMPQ])")
_DTYPES: Final = {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "A": "S"}
_BYTES: Final = {**dict.fromkeys("LBA", 1), "X": 0.125, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "P": 8}
_WIDTHS: Final = {**_BYTES, "M": 16, "Q": 16}


class NoTable(Exception):
    """The file holds no table that can be read (yet)."""


@dataclass(frozen=True)
class Column:
    """A column: `kind` is the letter of its TFORM, `count` how many elements a row has of it."""

    name: str
    kind: str
    count: int
    unit: str
    scale: float
    zero: float
    null: int | None


@dataclass(frozen=True)
class FitsTable:
    """Where a table lies: `rows` are those that its header counts, whether they are there or not."""

    columns: tuple[Column, ...]
    dtype: np.dtype
    offset: int
    rows: int
    cards: tuple[bytes, ...]

    def present(self, size: int) -> int:
        """How many rows are there whole, in a file of `size` bytes."""
        return max(0, min(self.rows, (size - self.offset) // self.dtype.itemsize))

    def read(self, descriptor: int, first: int, count: int) -> npt.NDArray[np.void]:
        """Rows as they are in the file; fewer than `count` when they are too many for one reading."""
        width = self.dtype.itemsize
        data = os.pread(descriptor, min(count, _MOST_BYTES // width) * width, self.offset + first * width)
        return np.frombuffer(data[: len(data) // width * width], self.dtype)


def find_table(descriptor: int, hdu: str | int | None) -> FitsTable:
    """The table with this EXTNAME or number, the first one for None.

    Raises
    ------
    NoTable
        The file is no FITS file, or the table is not there (yet) or not a plain binary table.
    """
    offset = 0
    for number in range(_MOST_HDUS):
        cards, offset = _header(descriptor, offset, number)
        kind = card_text(cards, b"XTENSION")
        wanted = kind == "BINTABLE" if hdu is None else hdu in (number, card_text(cards, b"EXTNAME"))
        if number and wanted:
            if kind != "BINTABLE" or card_logical(cards, b"ZIMAGE") or card_logical(cards, b"ZTABLE"):
                raise NoTable(f"HDU {number} is no plain binary table")
            return _table(cards, offset)
        offset += -(-_data_size(cards, number) // BLOCK) * BLOCK
    raise NoTable("too many HDUs")


def numbers(table: npt.NDArray[np.void], column: Column, index: int) -> npt.NDArray[np.float64]:
    """Values of a column of numbers, (rows, count); NaN where the table has none."""
    raw = table[f"f{index}"].reshape(len(table), column.count)
    if column.kind == "L":
        return np.where(raw == ord("T"), 1.0, np.where(raw == ord("F"), 0.0, np.nan))
    values = raw.astype(np.float64)
    if column.null is not None and column.kind in "BIJK":
        values[raw == column.null] = np.nan
    return values * column.scale + column.zero if (column.scale, column.zero) != (1.0, 0.0) else values


def words(table: npt.NDArray[np.void], index: int) -> tuple[str, ...]:
    """Texts of a column of characters."""
    return tuple(
        raw.split(b"\0", 1)[0].decode("ascii", "replace").rstrip() for raw in table[f"f{index}"].reshape(-1).tolist()
    )


def _header(descriptor: int, offset: int, number: int) -> tuple[tuple[bytes, ...], int]:
    first = b"SIMPLE  =" if number == 0 else b"XTENSION="
    cards: list[bytes] = []
    for _ in range(_MOST_BLOCKS):
        block = os.pread(descriptor, BLOCK, offset)
        offset += BLOCK
        if len(block) < BLOCK:
            raise NoTable("the file ends before its table")
        if not cards and not block.startswith(first):
            raise NoTable(f"HDU {number} does not begin with {first[:8].decode().strip()}")
        for start in range(0, BLOCK, 80):
            card = block[start : start + 80]
            if card.rstrip(b" ") == b"END":
                return tuple(cards), offset
            cards.append(card)
    raise NoTable("a header has no END")


def _data_size(cards: tuple[bytes, ...], number: int) -> int:
    axes = [card_int(cards, b"NAXIS%d" % axis) or 0 for axis in range(1, (card_int(cards, b"NAXIS") or 0) + 1)]
    elements = 1
    for axis in axes:
        elements *= max(0, axis)
    if not axes:
        elements = 0
    extra = (card_int(cards, b"PCOUNT") or 0) if number else 0
    return (elements + extra) * (card_int(cards, b"GCOUNT") or 1) * abs(card_int(cards, b"BITPIX") or 8) // 8


def _table(cards: tuple[bytes, ...], offset: int) -> FitsTable:
    width, rows, fields = (card_int(cards, key) or 0 for key in (b"NAXIS1", b"NAXIS2", b"TFIELDS"))
    if not 0 < width <= _MOST_WIDTH or rows < 0 or not 0 < fields <= _MOST_COLUMNS:
        raise NoTable(f"a table of {rows} rows of {width} bytes in {fields} columns")
    columns, formats, offsets, place = [], [], [], 0
    for index in range(1, fields + 1):
        form = _FORM.match(card_text(cards, b"TFORM%d" % index))
        if form is None:
            raise NoTable(f"TFORM{index} is {card_text(cards, b'TFORM%d' % index)!r}")
        count, kind = int(form[1] or 1), form[2]
        columns.append(_column(cards, index, kind, 1 if kind == "A" else count))
        size = -(-count // 8) if kind == "X" else int(count * _WIDTHS[kind])
        if place + size > width:
            raise NoTable(f"the columns are wider than NAXIS1, which says {width} bytes")
        formats.append(f"S{count}" if kind == "A" else (_DTYPES.get(kind, "u1"), (count if kind in _DTYPES else size,)))
        offsets.append(place)
        place += size
    if place != width:
        raise NoTable(f"the columns are {place} bytes wide, NAXIS1 says {width}")
    names = [f"f{index}" for index in range(fields)]
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": width})
    return FitsTable(tuple(columns), dtype, offset, rows, cards)


def _column(cards: tuple[bytes, ...], index: int, kind: str, count: int) -> Column:
    return Column(
        name=card_text(cards, b"TTYPE%d" % index).strip() or f"column{index}",
        kind=kind,
        count=count,
        unit=card_text(cards, b"TUNIT%d" % index).strip(),
        scale=card_float(cards, b"TSCAL%d" % index, 1.0),
        zero=card_float(cards, b"TZERO%d" % index, 0.0),
        null=card_int(cards, b"TNULL%d" % index),
    )


def card_float(cards: tuple[bytes, ...], key: bytes, default: float) -> float:
    """A number of the header, or the default."""
    value = find(cards, key)
    try:
        return float((value or b"").upper().replace(b"D", b"E"))
    except ValueError:
        return default


def parameters(column: Column, name: str) -> tuple[str, ...]:
    """The parameters that a column of numbers is: one, or one for each element of a vector; none if it is too long."""
    if column.kind not in "LBIJKED" or not 0 < column.count <= _MOST_ELEMENTS:
        return ()
    return (name,) if column.count == 1 else tuple(f"{name}_{element}" for element in range(column.count))
