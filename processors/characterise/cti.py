"""CTI: charge that transfers leave behind, from what flats spill into the overscan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.kind import Kind
from processors.characterise.readout import serial_step
from processors.characterise.result import POOR, Characterisation, Figure, Judge, Series, flags_of, series
from processors.characterise.sequence import LIT, DetectorSequence, Needs
from processors.characterise.signal import F8
from processors.errors import BadFrame
from processors.fits import Frame
from processors.geometry import Amplifier, DetectorSetup
from processors.ptc import Measured
from processors.statistics import clipped

_FEWEST: Final = 6  # pixels after the last one: some for the trail, some for the level
_LIT_OVERSCAN: Final = 0.2  # a trail that holds more than this part of the last pixel is light


@dataclass(frozen=True, slots=True)
class CtiOptions:
    """Options of CTI."""

    trail: int = field(default=4, metadata={"help": "Pixels after the last one that belong to the trail."})
    parallel: bool = field(
        default=False, metadata={"help": "The rows after the last one are overscan too: parallel CTI as well."}
    )


@dataclass(frozen=True, slots=True)
class Trail:
    """Median profile of one frame in ADU: the last pixel's signal, and what the pixels after it hold, with errors.

    `transfers` is how often the last pixel was shifted.
    """

    signal: Measured
    after: F8
    errors: F8
    transfers: int


def measure_cti(sequence: DetectorSequence, options: CtiOptions, judge: Judge) -> Characterisation:
    """Charge-transfer inefficiency of every amplifier by the extended-pixel-edge response (EPER).

    CTI = deferred charge / (charge of the last pixel · transfers), Janesick 2001, *Scientific Charge-Coupled Devices*,
    section 5.4. What is emptied later than the trail is long is missed, so EPER gives a lower limit. The pixels next
    to the data are looked at even where the instrument file leaves them out of the overscan, for that is why it does.
    """
    ways = ("serial", "parallel") if options.parallel else ("serial",)
    setup = sequence.setup(sequence.main[0])
    quantities, figures, messages = [], [], []
    for way in ways:
        curves: list[Series] = []
        for amplifier in setup.amplifiers:
            try:
                place = trail_place(amplifier, setup, _shape(sequence), way)
                zero = [profile(sequence, frame, amplifier, place, way) for frame in sequence.of_type("bias")]
                lit = [profile(sequence, frame, amplifier, place, way) for frame in sequence.of_type(*LIT)]
                trails = [_trail(one, zero, place, amplifier, options.trail, way) for one in lit]
                value = combined_cti(trails)
            except ValueError as problem:
                messages.append(f"amplifier {amplifier.name}, {way}: {problem}")
                continue
            quantities.append(
                judge(f"cti_{way}", amplifier.name, value.value, value.error, "", value.number, "CTI_OOL")
            )
            deferred = max(trails, key=lambda trail: trail.signal.value)
            curves.append(
                series(amplifier.name, np.arange(1, deferred.after.size + 1), deferred.after, deferred.errors)
            )
            figures.append(_figure(amplifier, trails, way))
        figures.append(Figure(f"trail_{way}", f"Trail of the brightest frame, {way}", "pixel", "ADU", tuple(curves)))
    return Characterisation(
        CTI.name, sequence.instrument, sequence.detector, sequence.group, tuple(quantities),
        flags_of(quantities, [POOR] if messages else []), tuple(figures), messages=tuple(messages),
    )  # fmt: skip


def trail_place(amplifier: Amplifier, setup: DetectorSetup, shape: tuple[int, int], way: str) -> slice:
    """Columns (rows, if `way` is parallel) of the raw image from the first after the data to the end of the overscan.

    They come in the raw order; the trail starts at the side of the data.

    Raises
    ------
    ValueError
        There are fewer than 6, or they belong to another amplifier.
    """
    data = amplifier.data
    step = serial_step(amplifier) if way == "serial" else _parallel_step(amplifier, setup)
    if step == 0:
        raise ValueError("nothing tells in which direction it is read")
    if way == "serial":
        overscan = amplifier.overscan
        if overscan is None or data.x0 < overscan.x1 <= data.x1 or data.x0 <= overscan.x0 < data.x1:
            raise ValueError("no overscan beside the data")
        place = slice(data.x1, overscan.x1) if step > 0 else slice(overscan.x0, data.x0)
        taken = [s.data for s in setup.amplifiers if s.data.y0 < data.y1 and data.y0 < s.data.y1]
        crossed = any(other.x0 < place.stop and place.start < other.x1 for other in taken)
    else:
        place = slice(data.y1, shape[0]) if step > 0 else slice(0, data.y0)
        taken = [s.data for s in setup.amplifiers if s.data.x0 < data.x1 and data.x0 < s.data.x1]
        crossed = any(other.y0 < place.stop and place.start < other.y1 for other in taken)
    if crossed:
        raise ValueError("another amplifier lies between its data and its overscan")
    if place.stop - place.start < _FEWEST:
        raise ValueError(f"{max(0, place.stop - place.start)} pixels after the last one, {_FEWEST} are needed")
    return place


def profile(sequence: DetectorSequence, frame: Frame, amplifier: Amplifier, place: slice, way: str) -> tuple[F8, F8]:
    """Clipped means, and their errors, of the last line of the data and of those after it, in that order, ADU.

    Lines of the trail are columns for serial CTI, rows for parallel. BadFrame where there is NaN.
    """
    raw = frame.image(sequence.setup(frame))
    data = amplifier.data
    if way == "serial":
        lines = raw[data.y0 : data.y1].T
        last, forward = (data.x1 - 1, True) if place.start >= data.x1 else (data.x0, False)
    else:
        lines = raw[:, data.x0 : data.x1]
        last, forward = (data.y1 - 1, True) if place.start >= data.y1 else (data.y0, False)
    chosen: NDArray[np.generic] = lines[place] if forward else lines[place][::-1]
    found = [clipped(line) for line in (lines[last], *chosen)]
    means = np.array([mean for mean, _, _ in found])
    if not np.isfinite(means).all() or not np.isfinite(raw[data.slices]).all():
        raise BadFrame(f"{frame.path.name}: detector {sequence.detector}, amplifier {amplifier.name}: NaN")
    return means, np.array([sigma / math.sqrt(number) for _, sigma, number in found])


def cti_of(trail: Trail) -> Measured:
    """CTI of one frame."""
    deferred, error = float(trail.after.sum()), float(np.sqrt((trail.errors**2).sum()))
    scale = 1 / (trail.signal.value * trail.transfers)
    return Measured(deferred * scale, error * scale, 1)


def combined_cti(trails: Sequence[Trail]) -> Measured:
    """Mean of the frames by their errors, with the larger of the expected error and the scatter between frames.

    Raises
    ------
    ValueError
        No frame holds light, or what comes after the data is lit, too.
    """
    lit = [trail for trail in trails if trail.signal.value > 10 * trail.signal.error and trail.signal.value > 0]
    if not lit:
        raise ValueError("no light in the last pixel")
    if any(trail.after.max() > _LIT_OVERSCAN * trail.signal.value for trail in lit):
        raise ValueError("the pixels after the data are lit, they are no overscan")
    found = [cti_of(trail) for trail in lit]
    values, errors = (np.array([getattr(one, what) for one in found]) for what in ("value", "error"))
    weights = errors**-2.0
    value = float(np.average(values, weights=weights))
    chi2 = float((weights * (values - value) ** 2).sum()) / max(1, values.size - 1)
    return Measured(value, float(weights.sum() ** -0.5) * math.sqrt(max(1.0, chi2)), values.size)


def _figure(amplifier: Amplifier, trails: Sequence[Trail], way: str) -> Figure:
    found = [cti_of(trail) for trail in trails]
    levels = [trail.signal.value for trail in trails]
    points = series("frames", levels, [one.value for one in found], [one.error for one in found])
    title = f"CTI against signal, {way}, {amplifier.name}"
    return Figure(f"{way}_{amplifier.name}", title, "ADU", "", (points,))


def _trail(
    lit: tuple[F8, F8], zero: Sequence[tuple[F8, F8]], place: slice, amplifier: Amplifier, trail: int, way: str
) -> Trail:
    """Above the biases' own profile, where there are any, and above the level of the pixels farther off."""
    means, errors = lit
    if zero:
        means = means - np.mean([mean for mean, _ in zero], axis=0)
        errors = np.hypot(errors, np.sqrt(np.sum([error**2 for _, error in zero], axis=0)) / len(zero))
    length = min(trail, place.stop - place.start - 2)
    far = means[1 + length :]
    level = float(far.mean())
    level_error = float(np.sqrt((errors[1 + length :] ** 2).sum())) / far.size
    after = means[1 : 1 + length] - level
    # the level's error is common to all of the trail: as if each pixel had √length of it
    spread = np.hypot(errors[1 : 1 + length], level_error * math.sqrt(length))
    transfers = amplifier.data.shape[1 if way == "serial" else 0]
    return Trail(Measured(float(means[0]) - level, float(errors[0]), 1), after, spread, transfers)


def _parallel_step(amplifier: Amplifier, setup: DetectorSetup) -> int:
    """+1 where rows are read from the bottom, as a lower amplifier's are; -1 for an upper one of two."""
    if amplifier.first_read is not None:
        return -1 if amplifier.first_read.startswith("upper") else 1
    return 1 if amplifier.data.y0 == min(other.data.y0 for other in setup.amplifiers) else -1


def _shape(sequence: DetectorSequence) -> tuple[int, int]:
    frame = sequence.main[0]
    rows, columns = frame.image(sequence.setup(frame)).shape
    return rows, columns


def _needs(_: CtiOptions) -> Needs:
    return Needs(LIT, least=1, reference=frozenset({"bias"}), by_filter=True)


CTI: Final = Kind("CTI", "charge-transfer inefficiency from the overscan trail", CtiOptions, _needs, measure_cti)
