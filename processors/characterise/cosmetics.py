"""COSMETICS: how many bad pixels a detector has, and where, from its flats and darks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processors.characterise.kind import Kind
from processors.characterise.result import (
    POOR,
    Characterisation,
    Figure,
    FrameUse,
    Judge,
    Quantity,
    Series,
    Table,
    flags_of,
    histogram,
    series,
)
from processors.characterise.sequence import LIT, DetectorSequence, Needs
from processors.characterise.signal import F4, master_signal, signals
from processors.fits import Frame
from processors.geometry import Amplifier
from processors.masters.combine import Combined, combine
from processors.masters.cosmetics import Pixels, dead_pixels, grow_columns, hot_pixels, unstable_pixels

_MOST: Final = 15  # frames of a sort: a bound on memory
_MOST_LISTED: Final = 200
_FEWEST_DARKS: Final = 10  # that tell a pixel that flickers from one that cosmic rays hit
_COLUMN: Final = 0.5  # a column with this part of its pixels bad is a bad column


@dataclass(frozen=True, slots=True)
class CosmeticsOptions:
    """Options of COSMETICS."""

    hot_sigma: float = field(default=8.0, metadata={"help": "A pixel is hot this many σ above its surroundings,"})
    hot_e_h: float = field(default=360.0, metadata={"help": "and this many e-/pix/h."})
    low: float = field(default=0.5, metadata={"help": "Response over that of the surroundings below which it is dead."})
    high: float = field(default=2.0, metadata={"help": "Response above which it is bad."})


def measure_cosmetics(sequence: DetectorSequence, options: CosmeticsOptions, judge: Judge) -> Characterisation:
    """Hot, unstable, dead pixels and bad columns of every amplifier, by the rules of the bad-pixel master.

    Flats of all filters count, each scaled to its own median, so that a mote in front of one filter is outvoted. The
    numbers are counts and have no error.
    """
    structure = master_signal(sequence, sequence.of_type("bias"))
    darks, flats = sequence.of_type("dark")[:_MOST], sequence.of_type(*LIT)[:_MOST]
    dark_stacks, flat_stacks = _darks(sequence, darks, structure), _flats(sequence, flats, structure)
    quantities: list[Quantity] = []
    curves: list[Series] = []
    tables: list[Table] = []
    figures: list[Figure] = []
    for n, amplifier in enumerate(sequence.setup(sequence.main[0]).amplifiers):
        found: dict[str, Pixels] = {}
        if dark_stacks:
            found |= _dark_defects(dark_stacks[n], amplifier, len(darks), _mean_time(darks), options)
            rates = dark_stacks[n].value * np.float32(3600 * amplifier.gain_e_adu)
            figures.append(_histogram("dark", amplifier, rates, "e-/pix/h"))
        if flat_stacks:
            found["dead"] = grow_columns(dead_pixels(flat_stacks[n].value, options.low, options.high))
            figures.append(_histogram("response", amplifier, flat_stacks[n].value, "over the median"))
        bad = np.logical_or.reduce(list(found.values()))
        quantities += _quantities(amplifier, found, bad, len(darks) + len(flats), judge)
        tables.append(_table(amplifier, found, bad))
        curves.append(series(amplifier.name, np.arange(bad.shape[1]), bad.sum(axis=0)))
    figures.append(Figure("columns", "Bad pixels in each column", "column", "pixels", tuple(curves)))
    messages = _messages(darks, flats)
    uses = [FrameUse(str(f.path), "", f"{_MOST} are enough") for f in sequence.main if f not in (*darks, *flats)]
    return Characterisation(
        COSMETICS.name, sequence.instrument, sequence.detector, sequence.group, tuple(quantities),
        flags_of(quantities, [POOR] if messages else []), tuple(figures), tuple(tables), tuple(uses), messages,
    )  # fmt: skip


def _messages(darks: Sequence[Frame], flats: Sequence[Frame]) -> tuple[str, ...]:
    found = []
    if not darks:
        found.append("no darks: hot pixels are not known")
    elif len(darks) < 3:
        found.append("fewer than three darks: cosmic rays count as hot pixels")
    if not flats:
        found.append("no flats: dead pixels are not known")
    return tuple(found)


def _darks(sequence: DetectorSequence, darks: Sequence[Frame], structure: Sequence[F4] | None) -> list[Combined]:
    """Stack of the darks of each amplifier, ADU/s; the lower one of two, as cosmic rays are above."""
    if not darks:
        return []
    planes = [[plane.data for plane in signals(sequence, frame)] for frame in darks]
    stacks = []
    for n in range(len(planes[0])):
        zero = np.float32(0) if structure is None else structure[n]
        rates = [(plane[n] - zero) / np.float32(f.identity.exptime_s) for plane, f in zip(planes, darks, strict=True)]
        if len(rates) == 2:
            rates = [np.minimum(*rates)]
        stacks.append(combine(rates, "median"))
    return stacks


def _flats(sequence: DetectorSequence, flats: Sequence[Frame], structure: Sequence[F4] | None) -> list[Combined]:
    """Stack of the flats of each amplifier, each over its own median."""
    if not flats:
        return []
    planes = [[plane.data for plane in signals(sequence, frame)] for frame in flats]
    stacks = []
    for n in range(len(planes[0])):
        zero = np.float32(0) if structure is None else structure[n]
        lit = [plane[n] - zero for plane in planes]
        stacks.append(combine([image / max(np.float32(np.median(image)), np.float32(1)) for image in lit], "median"))
    return stacks


def _dark_defects(
    stack: Combined, amplifier: Amplifier, darks: int, exptime_s: float, options: CosmeticsOptions
) -> dict[str, Pixels]:
    gain = amplifier.gain_e_adu
    rate, variance = stack.value * np.float32(gain), stack.variance * np.float32(gain**2)
    hot = hot_pixels(rate, variance, options.hot_sigma, options.hot_e_h / 3600)
    found = {"hot": grow_columns(hot)}
    if darks >= _FEWEST_DARKS:
        found["unstable"] = unstable_pixels(variance, stack.count, rate / np.float32(exptime_s), _FEWEST_DARKS)
    return found


def _mean_time(darks: Sequence[Frame]) -> float:
    return float(np.mean([frame.identity.exptime_s for frame in darks]))


def _quantities(
    amplifier: Amplifier, found: dict[str, Pixels], bad: Pixels, frames: int, judge: Judge
) -> list[Quantity]:
    name, flag = amplifier.name, "COSMETICS_OOL"
    number = int(np.count_nonzero(bad))
    columns = int((bad.mean(axis=0) >= _COLUMN).sum())
    counted = [
        judge(what, name, float(np.count_nonzero(pixels)), math.nan, "pixels", frames, flag)
        for what, pixels in found.items()
    ]
    return [
        *counted,
        judge("bad", name, float(number), math.nan, "pixels", frames, flag),
        judge("bad_fraction", name, number / bad.size, math.nan, "", frames, flag),
        judge("bad_columns", name, float(columns), math.nan, "columns", frames, flag),
    ]


def _histogram(name: str, amplifier: Amplifier, image: F4, unit: str) -> Figure:
    title = {"dark": "Dark current of pixels", "response": "Response of pixels"}[name]
    curve = histogram(amplifier.name, image)
    return Figure(f"{name}_{amplifier.name}", f"{title}, {amplifier.name}", unit, "pixels", (curve,))


def _table(amplifier: Amplifier, found: dict[str, Pixels], bad: Pixels) -> Table:
    """The first bad pixels in the order of rows: x, y of the trimmed detector from 0, and what they are, 1 for yes."""
    place, kinds = amplifier.trimmed, tuple(found)
    rows, columns = (index[:_MOST_LISTED] for index in np.nonzero(bad))
    listed = tuple(
        (float(place.x0 + x), float(place.y0 + y), *(float(found[what][y, x]) for what in kinds))
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
    )
    return Table("bad_pixels", amplifier.name, ("x", "y", *kinds), listed)


def _needs(_: CosmeticsOptions) -> Needs:
    def accept(frame: Frame) -> str:
        if frame.identity.obstype == "dark" and frame.identity.exptime_s <= 0:
            return "a dark of 0 s"
        return "a flat of spectra" if frame.identity.mode == "spectroscopy" else ""

    return Needs(LIT | {"dark"}, least=1, reference=frozenset({"bias"}), accept=accept)


COSMETICS: Final = Kind(
    "COSMETICS", "bad pixels and columns from flats and darks", CosmeticsOptions, _needs, measure_cosmetics
)
