"""Detectors whose amplifiers lie in HDUs of their own: how these images make one raw image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from processors.cards import Header
from processors.errors import BadFrame
from processors.identity import text_of
from processors.readout_schema import AmplifierSpec, Corner
from processors.section import Section, parse_place

_OPPOSITE: Final = {"lower": "upper", "upper": "lower", "left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class Tile:
    """The image of an HDU, where it lies in the raw image of its detector, and whether it is turned for that."""

    hdu: int
    name: str
    raw: Section
    flip_x: bool
    flip_y: bool

    def turned(self, section: Section) -> Section:
        """A section of the HDU's image as one of the raw image."""
        rows, columns = self.raw.shape
        x0, x1 = (columns - section.x1, columns - section.x0) if self.flip_x else (section.x0, section.x1)
        y0, y1 = (rows - section.y1, rows - section.y0) if self.flip_y else (section.y0, section.y1)
        return Section(self.raw.x0 + x0, self.raw.x0 + x1, self.raw.y0 + y0, self.raw.y0 + y1)

    def turned_corner(self, corner: Corner) -> Corner:
        """A corner of the HDU's image as one of the raw image."""
        vertical, horizontal = corner.split("_")
        vertical = _OPPOSITE[vertical] if self.flip_y else vertical
        horizontal = _OPPOSITE[horizontal] if self.flip_x else horizontal
        return f"{vertical}_{horizontal}"  # type: ignore[return-value]


def tile_of(
    spec: AmplifierSpec, detector: str, headers: Sequence[Header], places: Mapping[str, tuple[Section, bool, bool]]
) -> Tile:
    """The tile of one amplifier, `places` being those of all amplifiers, by HDU.

    Raises
    ------
    BadFrame
        An HDU is missing, has no image, or does not line up with the others.
    """
    hdu = spec.hdu or ""
    place, flip_x, flip_y = places[hdu]
    shapes = {name: _shape(name, detector, headers) for name in places}
    columns = _offsets({(p.x0, p.x1, shapes[name][1]) for name, (p, _, _) in places.items()}, detector)
    rows = _offsets({(p.y0, p.y1, shapes[name][0]) for name, (p, _, _) in places.items()}, detector)
    x0, x1 = columns[place.x0]
    y0, y1 = rows[place.y0]
    return Tile(_header(hdu, detector, headers).index, hdu, Section(x0, x1, y0, y1), flip_x, flip_y)


def places_of(
    specs: Sequence[AmplifierSpec], detector: str, headers: Sequence[Header]
) -> dict[str, tuple[Section, bool, bool]]:
    """Where the data of every HDU lie in the detector, and whether they are turned, by HDU (BadFrame)."""
    found = {}
    for spec in specs:
        hdu, place = spec.hdu or "", spec.place or ""
        if hdu in found:
            raise BadFrame(f"detector {detector}: two amplifiers in HDU {hdu}")
        header = _header(hdu, detector, headers)
        if not place.lstrip().startswith("["):
            if place not in header:
                raise BadFrame(f"detector {detector}: no {place} card in HDU {hdu}")
            place = text_of(header[place])
        found[hdu] = parse_place(place, f"detector {detector}, HDU {hdu}: place")
    return found


def _header(hdu: str, detector: str, headers: Sequence[Header]) -> Header:
    for header in headers:
        if text_of(header.get("EXTNAME", "")).casefold() == hdu.casefold():  # as FITS wants it
            return header
    raise BadFrame(f"detector {detector}: no HDU {hdu}")


def _shape(hdu: str, detector: str, headers: Sequence[Header]) -> tuple[int, int]:
    header = _header(hdu, detector, headers)
    prefix = "Z" if header.get("ZIMAGE") is True else ""
    rows, columns = header.get(f"{prefix}NAXIS2"), header.get(f"{prefix}NAXIS1")
    if not (isinstance(rows, int) and isinstance(columns, int) and rows > 0 and columns > 0):
        raise BadFrame(f"detector {detector}: HDU {hdu} holds no image")
    return rows, columns


def _offsets(intervals: set[tuple[int, int, int]], detector: str) -> dict[int, tuple[int, int]]:
    """Where the images lie that hold each interval of the detector, by the interval's start."""
    offsets: dict[int, tuple[int, int]] = {}
    position, last_end = 0, 0
    for start, end, length in sorted(intervals):
        if start < last_end or start in offsets:
            raise BadFrame(f"detector {detector}: HDUs overlap, or do not line up")
        offsets[start] = (position, position + length)
        position, last_end = position + length, end
    return offsets
