"""Where a detector's amplifiers lie in the raw image, and in the trimmed one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from processors.cards import Header
from processors.errors import BadFrame
from processors.identity import holds, text_of
from processors.instrument_schema import InstrumentSpec
from processors.readout_schema import AmplifierSpec, Bleed, Corner, Crosstalk, Linearity, OverscanMethod
from processors.schema_base import Number
from processors.section import Section, parse_section
from processors.tiles import Tile, places_of, tile_of

__all__ = ["Amplifier", "DetectorSetup", "Section", "detector_setup", "parse_section", "with_gains"]

_MEDIAN: Final = OverscanMethod()


@dataclass(frozen=True, slots=True)
class Amplifier:
    """One readout: sections in the raw image, place in the trimmed one, gain e-/ADU, read noise e-, saturation ADU.

    Its overscan gives a level per row, per column, or one for all; `first_read` is the corner of the data read first.
    """

    name: str
    data: Section
    overscan: Section | None
    overscan_per_row: bool
    gain_e_adu: float
    read_noise_e: float
    saturation_adu: float
    trimmed: Section
    overscan_per_column: bool = False
    overscan_method: OverscanMethod = _MEDIAN
    linearity: Linearity | None = None
    first_read: Corner | None = None


@dataclass(frozen=True, slots=True)
class DetectorSetup:
    """A detector of one frame: HDU, amplifiers, shape (rows, columns) once trimmed, bad sections when raw.

    `tiles` are the HDUs that make its raw image where amplifiers have one each.
    """

    detector: str
    hdu: int
    amplifiers: tuple[Amplifier, ...]
    shape: tuple[int, int]
    bad_sections: tuple[Section, ...]
    crosstalk: tuple[Crosstalk, ...] = ()
    bleed: Bleed | None = None
    tiles: tuple[Tile, ...] = ()

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Make sure that all sections lie in a raw image of this shape (BadFrame)."""
        if len(shape) != 2:
            raise BadFrame(f"detector {self.detector}: an image of {len(shape)} dimensions")
        rows, columns = shape
        for amplifier in self.amplifiers:
            for section in (amplifier.data, amplifier.overscan):
                if section is not None and (section.y1 > rows or section.x1 > columns):
                    where = f"detector {self.detector}, amplifier {amplifier.name}"
                    raise BadFrame(f"{where}: section {section} leaves the image of {columns}x{rows} pixels")


def with_gains(setup: DetectorSetup, gains: Mapping[str, float]) -> DetectorSetup:
    """The same detector with other gains, e-/ADU, by the names of its amplifiers (measured ones, for instance).

    Raises
    ------
    BadFrame
        A name is no amplifier's, or a gain is not a positive number.
    """
    unknown = set(gains) - {amplifier.name for amplifier in setup.amplifiers}
    if unknown:
        raise BadFrame(f"detector {setup.detector}: no amplifier {', '.join(sorted(unknown))} to give a gain to")
    for name, gain in gains.items():
        if not (math.isfinite(gain) and gain > 0):
            raise BadFrame(f"detector {setup.detector}, amplifier {name}: gain is {gain!r}")
    amplifiers = tuple(replace(a, gain_e_adu=float(gains.get(a.name, a.gain_e_adu))) for a in setup.amplifiers)
    return replace(setup, amplifiers=amplifiers)


def detector_setup(
    spec: InstrumentSpec, detector: str, header: Header, primary: Header, headers: Sequence[Header] = ()
) -> DetectorSetup:
    """Amplifiers of a detector from its header (the primary's cards stand in) and the instrument file.

    `headers` are those of the whole file, for detectors whose amplifiers have an HDU each.

    Raises
    ------
    BadFrame
        A card is missing, a section or a number impossible, or sections do not fit together.
    """
    specs = [amplifier for amplifier in spec.amplifiers if holds(amplifier.when, (header, primary))]
    if not specs:
        raise BadFrame(f"detector {detector}: {spec.name} has no amplifiers for this readout")
    places = places_of([amplifier for amplifier in specs if amplifier.hdu is not None], detector, headers)
    tiles = [None if a.hdu is None else tile_of(a, detector, headers, places) for a in specs]
    chains = [(header if tile is None else headers[tile.hdu], primary) for tile in tiles]
    data = [_turned(_section(a.data, c, detector), t, detector) for a, c, t in zip(specs, chains, tiles, strict=True)]
    # where amplifiers have an HDU each, the images are turned, and only their places say how the data line up
    lying = [d if a.hdu is None else places[a.hdu][0] for a, d in zip(specs, data, strict=True)]
    columns = _places([(s.x0, s.x1) for s in lying], detector)
    rows = _places([(s.y0, s.y1) for s in lying], detector)
    amplifiers = []
    for amplifier, section, place, chain, tile in zip(specs, data, lying, chains, tiles, strict=True):
        if section.shape != place.shape:
            raise BadFrame(
                f"detector {detector}, amplifier {amplifier.name}: data {section} do not fit the place {place}"
            )
        trimmed = Section(*columns[place.x0, place.x1], *rows[place.y0, place.y1])
        amplifiers.append(_amplifier(amplifier, section, trimmed, chain, tile, detector))
    shape = (max(end for _, end in rows.values()), max(end for _, end in columns.values()))
    if sum(math.prod(s.shape) for s in data) != math.prod(shape):
        raise BadFrame(f"detector {detector}: data sections leave a hole or overlap")
    return DetectorSetup(
        detector,
        header.index,
        tuple(amplifiers),
        shape,
        tuple(parse_section(text, "bad section") for text in spec.detectors.bad_sections.get(detector, ())),
        _crosstalk(spec, detector, {amplifier.name for amplifier in amplifiers}),
        spec.detectors.bleed,
        tuple(tile for tile in tiles if tile is not None),
    )


def _amplifier(
    spec: AmplifierSpec, data: Section, trimmed: Section, chain: Sequence[Header], tile: Tile | None, detector: str
) -> Amplifier:
    overscan = None if spec.overscan is None else _turned(_section(spec.overscan, chain, detector), tile, detector)
    per_row, per_column = spec.overscan_per == "row", spec.overscan_per == "column"
    if overscan is not None:
        if per_row and (overscan.y0 > data.y0 or overscan.y1 < data.y1):
            raise BadFrame(f"detector {detector}: overscan {overscan} does not span the rows of the data {data}")
        if per_column and (overscan.x0 > data.x0 or overscan.x1 < data.x1):
            raise BadFrame(f"detector {detector}: overscan {overscan} does not span the columns of the data {data}")
        if _overlap(overscan, data):
            raise BadFrame(f"detector {detector}: overscan {overscan} lies in the data {data}")
    where = f"detector {detector}, amplifier {spec.name}"
    gain = _number(spec.gain_e_adu, chain, f"{where}: gain")
    noise = _number(spec.read_noise_e, chain, f"{where}: read noise")
    full = _number(spec.saturation_adu, chain, f"{where}: saturation")
    first = spec.first_read if tile is None or spec.first_read is None else tile.turned_corner(spec.first_read)
    return Amplifier(
        name=spec.name,
        data=data,
        overscan=overscan,
        overscan_per_row=per_row,
        gain_e_adu=gain,
        read_noise_e=noise,
        saturation_adu=full,
        trimmed=trimmed,
        overscan_per_column=per_column,
        overscan_method=spec.overscan_method,
        linearity=spec.linearity,
        first_read=first,
    )


def _turned(section: Section, tile: Tile | None, detector: str) -> Section:
    if tile is None:
        return section
    rows, columns = tile.raw.shape
    if section.y1 > rows or section.x1 > columns:
        raise BadFrame(f"detector {detector}: section {section} leaves HDU {tile.hdu} of {columns}x{rows} pixels")
    return tile.turned(section)


def _crosstalk(spec: InstrumentSpec, detector: str, names: set[str]) -> tuple[Crosstalk, ...]:
    """The crosstalk between the amplifiers that this detector has."""
    return tuple(
        entry
        for entry in spec.crosstalk
        if {entry.victim, entry.aggressor} <= names and (entry.detectors is None or detector in entry.detectors)
    )


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
