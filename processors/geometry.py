"""Where a detector's amplifiers lie in the raw image, and in the trimmed one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from processors.cards import Header
from processors.errors import BadFrame
from processors.identity import holds, text_of
from processors.instrument_schema import SECTION, AmplifierSpec, InstrumentSpec, Number


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


@dataclass(frozen=True, slots=True)
class Amplifier:
    """One readout: sections in the raw image, place in the trimmed one, gain e-/ADU, read noise e-, saturation ADU."""

    name: str
    data: Section
    overscan: Section | None
    overscan_per_row: bool
    gain_e_adu: float
    read_noise_e: float
    saturation_adu: float
    trimmed: Section


@dataclass(frozen=True, slots=True)
class DetectorSetup:
    """A detector of one frame: HDU, amplifiers, shape (rows, columns) once trimmed, bad sections when raw."""

    detector: str
    hdu: int
    amplifiers: tuple[Amplifier, ...]
    shape: tuple[int, int]
    bad_sections: tuple[Section, ...]


def parse_section(text: str, what: str) -> Section:
    """A FITS section `[x1:x2,y1:y2]` (from 1, ends included).

    Raises
    ------
    BadFrame
        It is no such section, or runs backwards.
    """
    match = SECTION.fullmatch(text.strip())
    if match is None:
        raise BadFrame(f"{what} is {text!r}, not a section [x1:x2,y1:y2]")
    x1, x2, y1, y2 = (int(number) for number in match.groups())
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        raise BadFrame(f"{what} is {text!r}, an impossible section")
    return Section(x1 - 1, x2, y1 - 1, y2)


def detector_setup(spec: InstrumentSpec, detector: str, header: Header, primary: Header) -> DetectorSetup:
    """Amplifiers of a detector from its header (the primary's cards stand in) and the instrument file.

    Raises
    ------
    BadFrame
        A card is missing, a section or a number impossible, or sections do not fit together.
    """
    chain = (header, primary)
    specs = [amplifier for amplifier in spec.amplifiers if holds(amplifier.when, chain)]
    if not specs:
        raise BadFrame(f"detector {detector}: {spec.name} has no amplifiers for this readout")
    data = [_section(amplifier.data, chain, detector) for amplifier in specs]
    columns = _places([(s.x0, s.x1) for s in data], detector)
    rows = _places([(s.y0, s.y1) for s in data], detector)
    amplifiers = []
    for amplifier, section in zip(specs, data, strict=True):
        place = Section(*columns[section.x0, section.x1], *rows[section.y0, section.y1])
        amplifiers.append(_amplifier(amplifier, section, place, chain, detector))
    shape = (max(end for _, end in rows.values()), max(end for _, end in columns.values()))
    if sum(math.prod(s.shape) for s in data) != math.prod(shape):
        raise BadFrame(f"detector {detector}: data sections leave a hole or overlap")
    bad = tuple(parse_section(text, "bad section") for text in spec.detectors.bad_sections.get(detector, ()))
    return DetectorSetup(detector, header.index, tuple(amplifiers), shape, bad)


def _amplifier(spec: AmplifierSpec, data: Section, place: Section, chain: Sequence[Header], detector: str) -> Amplifier:
    overscan = None if spec.overscan is None else _section(spec.overscan, chain, detector)
    per_row = spec.overscan_per == "row"
    if overscan is not None:
        if per_row and (overscan.y0 > data.y0 or overscan.y1 < data.y1):
            raise BadFrame(f"detector {detector}: overscan {overscan} does not span the rows of the data {data}")
        if _overlap(overscan, data):
            raise BadFrame(f"detector {detector}: overscan {overscan} lies in the data {data}")
    gain = _number(spec.gain_e_adu, chain, f"detector {detector}, amplifier {spec.name}: gain")
    noise = _number(spec.read_noise_e, chain, f"detector {detector}, amplifier {spec.name}: read noise")
    full = _number(spec.saturation_adu, chain, f"detector {detector}, amplifier {spec.name}: saturation")
    return Amplifier(spec.name, data, overscan, per_row, gain, noise, full, place)


def _overlap(a: Section, b: Section) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def _places(intervals: list[tuple[int, int]], detector: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Where each interval of the raw image lies once pre- and overscans are cut away."""
    places: dict[tuple[int, int], tuple[int, int]] = {}
    position, last_end = 0, 0
    for start, end in sorted(set(intervals)):
        if start < last_end:
            raise BadFrame(f"detector {detector}: data sections overlap in part")
        places[start, end] = (position, position + end - start)
        position += end - start
        last_end = end
    return places


def _section(text: str, chain: Sequence[Header], detector: str) -> Section:
    if text.lstrip().startswith("["):
        return parse_section(text, f"detector {detector}: section")
    value = next((text_of(header[text]) for header in chain if text in header), None)
    if value is None:
        raise BadFrame(f"detector {detector}: no {text} card")
    return parse_section(value, f"detector {detector}: {text}")


def _number(number: Number, chain: Sequence[Header], what: str) -> float:
    value = None if number.card is None else next((h[number.card] for h in chain if number.card in h), None)
    if value is None:
        value = number.value
    if value is None:
        raise BadFrame(f"{what}: no {number.card} card")
    if isinstance(value, bool | str) or not (math.isfinite(value) and value > 0):
        raise BadFrame(f"{what} is {value!r} ({number.card})")
    return float(value)
