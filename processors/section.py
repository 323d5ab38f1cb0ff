"""Rectangles of an image."""

from __future__ import annotations

from dataclasses import dataclass

from processors.errors import BadFrame
from processors.readout_schema import SECTION


@dataclass(frozen=True, slots=True)
class Section:
    """Rectangle of an image, from 0, ends excluded: rows y0:y1, columns x0:x1."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of a numpy image (rows first)."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.y1 - self.y0, self.x1 - self.x0

    def __str__(self) -> str:
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"


def parse_section(text: str, what: str) -> Section:
    """A FITS section `[x1:x2,y1:y2]` (from 1, ends included).

    Raises
    ------
    BadFrame
        It is no such section, or runs backwards.
    """
    section, flip_x, flip_y = parse_place(text, what)
    if flip_x or flip_y:
        raise BadFrame(f"{what} is {text!r}, an impossible section")
    return section


def parse_place(text: str, what: str) -> tuple[Section, bool, bool]:
    """A FITS section that may run backwards, and whether it does in x and in y (BadFrame when it is no section)."""
    match = SECTION.fullmatch(text.strip())
    if match is None:
        raise BadFrame(f"{what} is {text!r}, not a section [x1:x2,y1:y2]")
    x1, x2, y1, y2 = (int(number) for number in match.groups())
    if min(x1, x2, y1, y2) < 1:
        raise BadFrame(f"{what} is {text!r}, an impossible section")
    return Section(min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2)), x1 > x2, y1 > y2
