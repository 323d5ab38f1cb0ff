"""DARK: dark current and hot pixels from dark exposures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processors.characterise.kind import Kind
from processors.characterise.least_squares import linear_fit
from processors.characterise.result import (
    POOR,
    Characterisation,
    Figure,
    Judge,
    Quantity,
    Series,
    Table,
    flags_of,
    histogram,
    series,
)
from processors.characterise.sequence import DetectorSequence, Needs
from processors.characterise.signal import F4, F8, AmplifierSignal, master_signal, robust_sigma, signals
from processors.fits import Frame
from processors.geometry import Amplifier
from processors.masters.combine import combine
from processors.ptc import Measured
from processors.statistics import clipped

_MOST_HOT: Final = 100  # positions that are listed
_MOST_MAP: Final = 9  # darks for the map of hot pixels


@dataclass(frozen=True, slots=True)
class DarkOptions:
    """Options of DARK."""

    hot_sigma: float = field(default=8.0, metadata={"help": "A pixel is hot this many σ above the others."})
    hot_e_h: float = field(default=0.0, metadata={"help": "… and above this many e-/pix/h."})


@dataclass(frozen=True, slots=True)
class HotPixels:
    """Hot pixels of an amplifier: rows and columns in its data section, rates and threshold in ADU/s, all rates."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    rates: tuple[float, ...]
    threshold: float
    rate_map: F4


def measure_dark(sequence: DetectorSequence, options: DarkOptions, judge: Judge) -> Characterisation:
    """Dark current in e-/pix/h by the header's gain, and hot pixels.

    The current is the slope of the level against the exposure time. Biases stand at 0 s; without them the darks' own
    times must differ, or else the bias structure is counted as dark current, which is said.
    """
    biases = sequence.of_type("bias")
    structure = master_signal(sequence, biases)
    frames = (*biases, *sequence.main)
    times = np.array([frame.identity.exptime_s for frame in frames])
    longest = _longest(sequence.main)
    means: list[list[Measured]] = []
    kept: list[tuple[AmplifierSignal, ...]] = []
    for frame in frames:
        planes = signals(sequence, frame)
        means.append([_mean(plane, None if structure is None else structure[n]) for n, plane in enumerate(planes)])
        if frame in longest:
            kept.append(planes)
    zero, start_s = _reference(sequence, structure)
    quantities: list[Quantity] = []
    curves: list[Series] = []
    rates: list[Series] = []
    tables: list[Table] = []
    for n, amplifier in enumerate(sequence.setup(frames[0]).amplifiers):
        current, intercept = dark_current(times, [mean[n] for mean in means])
        images = [
            (planes[n].data - (zero[n] if zero else np.float32(0))) / np.float32(frame.identity.exptime_s - start_s)
            for planes, frame in zip(kept, longest, strict=True)
        ]
        hot = hot_pixels(images, options.hot_sigma, options.hot_e_h / 3600 / amplifier.gain_e_adu)
        quantities += _quantities(amplifier, current, intercept, hot, len(images), judge)
        tables.append(_table(amplifier, hot))
        levels = [mean[n].value * amplifier.gain_e_adu for mean in means]
        curves.append(series(amplifier.name, times, levels, [m[n].error * amplifier.gain_e_adu for m in means]))
        rates.append(histogram(amplifier.name, hot.rate_map * np.float32(3600 * amplifier.gain_e_adu)))
    figures = (
        Figure("level", "Level against exposure time", "s", "e-", tuple(curves)),
        Figure("rates", "Dark current of pixels", "e-/pix/h", "pixels", tuple(rates)),
    )
    messages = []
    if not biases and not _two_times(times):
        messages.append("no biases and a single exposure time: the bias structure counts as dark current")
    if len(kept) == 1:
        messages.append("a single dark: cosmic rays count as hot pixels")
    return Characterisation(
        DARK.name, sequence.instrument, sequence.detector, sequence.group, tuple(quantities),
        flags_of(quantities, [POOR] if messages else []), figures, tuple(tables), messages=tuple(messages),
    )  # fmt: skip


def dark_current(times_s: F8, levels: Sequence[Measured]) -> tuple[Measured, Measured]:
    """Dark current (ADU/s) and level at 0 s (ADU) from levels above the bias at exposure times.

    With one exposure time for all the line goes through 0, and the level at 0 s is not a number.
    """
    values = [level.value for level in levels]
    errors = [level.error for level in levels]
    free = _two_times(times_s)
    fit = linear_fit(np.column_stack([times_s, np.ones_like(times_s)] if free else [times_s]), values, errors)
    number = int(fit.used.sum())
    zero = Measured(float(fit.coefficients[1]), fit.error(1), number) if free else Measured(math.nan, math.nan, 0)
    return Measured(float(fit.coefficients[0]), fit.error(0), number), zero


def hot_pixels(rates: Sequence[F4], sigmas: float, least: float = 0.0) -> HotPixels:
    """Pixels whose rate is `sigmas` σ, and `least`, above the median, in an image that cosmic rays do not reach.

    That is the median of three or more images, the lower of two. Rates and `least` in ADU/s.
    """
    if len(rates) >= 3:
        image = combine(rates, "median").value
    else:
        image = np.minimum.reduce(list(rates))
    middle = float(np.median(image))
    threshold = max(sigmas * robust_sigma(image), least)
    rows, columns = np.nonzero(image - middle > threshold)
    found = image[rows, columns]
    order = np.argsort(-found, kind="stable")
    return HotPixels(
        tuple(int(row) for row in rows[order]),
        tuple(int(column) for column in columns[order]),
        tuple(float(rate) for rate in found[order]),
        threshold,
        image,
    )


def _mean(plane: AmplifierSignal, structure: F4 | None) -> Measured:
    mean, sigma, number = clipped(plane.data if structure is None else plane.data - structure)
    return Measured(mean, math.hypot(sigma / math.sqrt(number), plane.level_error_adu), number)


def _longest(darks: Sequence[Frame]) -> tuple[Frame, ...]:
    most = max(frame.identity.exptime_s for frame in darks)
    return tuple(frame for frame in darks if frame.identity.exptime_s > 0.8 * most)[:_MOST_MAP]


def _two_times(times_s: F8) -> bool:
    return bool(times_s.min() < 0.8 * times_s.max())


def _reference(sequence: DetectorSequence, structure: tuple[F4, ...] | None) -> tuple[tuple[F4, ...] | None, float]:
    """What is subtracted for the map of rates, and its exposure time: the biases, or the shortest darks."""
    if structure is not None:
        return structure, 0.0
    times = np.array([frame.identity.exptime_s for frame in sequence.main])
    if not _two_times(times):
        return None, 0.0
    shortest = [frame for frame in sequence.main if frame.identity.exptime_s < 1.01 * times.min()]
    return master_signal(sequence, shortest), float(times.min())


def _quantities(
    amplifier: Amplifier, current: Measured, zero: Measured, hot: HotPixels, darks: int, judge: Judge
) -> list[Quantity]:
    name, hourly = amplifier.name, 3600 * amplifier.gain_e_adu
    number = len(hot.rates)
    found = [
        judge("dark_current", name, current.value * hourly, current.error * hourly, "e-/pix/h", current.number,
              "DARK_OOL"),
        judge("hot_pixels", name, float(number), math.sqrt(number), "pixels", darks, "COSMETICS_OOL",
              message=f"above {hot.threshold * hourly:.4g} e-/pix/h over the median"),
        judge("hot_fraction", name, number / hot.rate_map.size, math.sqrt(number) / hot.rate_map.size, "", darks,
              "COSMETICS_OOL"),
    ]  # fmt: skip
    if zero.number:
        found.append(judge("level_at_0s", name, zero.value, zero.error, "ADU", zero.number, "OFFSET_OOL"))
    return found


def _table(amplifier: Amplifier, hot: HotPixels) -> Table:
    """The hottest pixels: x, y of the trimmed detector from 0, rate."""
    place, hourly = amplifier.trimmed, 3600 * amplifier.gain_e_adu
    rows = tuple(
        (float(place.x0 + column), float(place.y0 + row), rate * hourly)
        for row, column, rate in zip(hot.rows, hot.columns, hot.rates, strict=True)
    )
    return Table("hot_pixels", amplifier.name, ("x", "y", "e-/pix/h"), rows[:_MOST_HOT])


def _needs(_: DarkOptions) -> Needs:
    def accept(frame: Frame) -> str:
        timeless = frame.identity.obstype == "dark" and frame.identity.exptime_s <= 0
        return "a dark of 0 s" if timeless else ""

    return Needs(frozenset({"dark"}), least=1, reference=frozenset({"bias"}), accept=accept)


DARK: Final = Kind("DARK", "dark current and hot pixels", DarkOptions, _needs, measure_dark)
