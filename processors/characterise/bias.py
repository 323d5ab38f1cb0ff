"""BIAS: offset, read noise, structure, and noise that amplifiers share, from a run of biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.kind import Kind
from processors.characterise.readout import in_order_of_reading
from processors.characterise.result import (
    Characterisation,
    Figure,
    FrameUse,
    Judge,
    Quantity,
    flags_of,
    histogram,
    matrix,
    series,
)
from processors.characterise.sequence import DetectorSequence, Needs
from processors.characterise.signal import F4, F8, AmplifierSignal, noise_of_differences, robust_sigma, signals
from processors.ptc import Measured
from processors.statistics import clipped


@dataclass(frozen=True, slots=True)
class BiasOptions:
    """Options of BIAS."""

    most: int = field(default=12, metadata={"help": "Frames to look at; more only cost memory."})


@dataclass(frozen=True, slots=True)
class Structure:
    """Fixed pattern of the bias, rms in ADU with errors: of rows, of columns, and of pixels when these are gone."""

    rows: Measured
    columns: Measured
    pixels: Measured
    row_profile: F8
    column_profile: F8


def measure_bias(sequence: DetectorSequence, options: BiasOptions, judge: Judge) -> Characterisation:
    """Offset, drift, read noise, noise common to rows, fixed pattern of every amplifier; correlations between them.

    Read noise is that of a pixel above one level for the whole frame, digitisation included (1/12 ADU²).
    """
    frames = sequence.main[: options.most]
    planes = [signals(sequence, frame) for frame in frames]
    quantities: list[Quantity] = []
    rows, columns, noises, offsets = [], [], [], []
    for number, first in enumerate(planes[0]):
        own = [plane[number] for plane in planes]
        measured, structure = _amplifier(own, judge)
        quantities += measured
        name = first.amplifier.name
        rows.append(series(name, np.arange(structure.row_profile.size), structure.row_profile))
        columns.append(series(name, np.arange(structure.column_profile.size), structure.column_profile))
        noises.append(histogram(name, (own[1].data - own[0].data) / np.float32(math.sqrt(2))))
        offsets.append(series(name, np.arange(len(own)), [_offset(signal)[0] for signal in own]))
    figures = [
        Figure("offset", "Offset of each frame", "frame", "ADU", tuple(offsets)),
        Figure("rows", "Mean bias by row", "row", "ADU above the overscan", tuple(rows)),
        Figure("columns", "Mean bias by column", "column", "ADU above the overscan", tuple(columns)),
        Figure("noise", "Difference of the first two frames over √2", "ADU", "pixels", tuple(noises)),
    ]
    correlation = noise_correlation(planes)
    if correlation is not None:
        quantities.append(_shared_noise(correlation, planes, judge))
        names = ", ".join(signal.amplifier.name for signal in planes[0])
        figures.append(Figure("correlation", f"Correlation of noise: {names}", "amplifier", "amplifier",
                              image=matrix(correlation)))  # fmt: skip
    more = tuple(FrameUse(str(f.path), "", f"{options.most} are enough") for f in sequence.main[options.most :])
    return Characterisation(
        BIAS.name, sequence.instrument, sequence.detector, sequence.group,
        tuple(quantities), flags_of(quantities), tuple(figures), frames=more,
    )  # fmt: skip


def _amplifier(own: Sequence[AmplifierSignal], judge: Judge) -> tuple[list[Quantity], Structure]:
    amplifier, count = own[0].amplifier, len(own)
    name, gain = amplifier.name, amplifier.gain_e_adu
    levels = np.array([_offset(signal) for signal in own])
    scatter = float(levels[:, 0].std(ddof=1)) / math.sqrt(count)
    offset_error = max(scatter, float(np.sqrt((levels[:, 1] ** 2).sum())) / count)
    planes = [signal.data for signal in own]
    noise = noise_of_differences(planes)
    common = row_noise(planes)
    structure = bias_structure(planes)
    quantities = [
        judge("offset", name, float(levels[:, 0].mean()), offset_error, "ADU", count, "OFFSET_OOL", "overscan_level"),
        judge("offset_drift", name, float(np.ptp(levels[:, 0])), math.nan, "ADU", count, "OFFSET_OOL"),
        judge("read_noise", name, noise.value * gain, noise.error * gain, "e-", noise.number, "RON_OOL"),
        judge("read_noise_adu", name, noise.value, noise.error, "ADU", noise.number, "RON_OOL"),
        judge("row_noise", name, common.value, common.error, "ADU", common.number, "RON_OOL"),
    ]
    for part in ("rows", "columns", "pixels"):
        pattern: Measured = getattr(structure, part)
        quantities.append(
            judge(f"pattern_{part}", name, pattern.value, pattern.error, "ADU", pattern.number, "OFFSET_OOL")
        )
    return quantities, structure


def _offset(signal: AmplifierSignal) -> tuple[float, float]:
    """Level in ADU and its error: of the overscan, or of the data of a camera that has none."""
    if signal.amplifier.overscan is not None:
        return signal.level_adu, signal.level_error_adu
    mean, sigma, number = clipped(signal.data)
    return mean, sigma / math.sqrt(number)


def row_noise(planes: Sequence[F4]) -> Measured:
    """Noise that all pixels of a row share in one frame, ADU: what scatters row means beyond the noise of pixels."""
    rows, columns = planes[0].shape
    found = []
    for a, b in pairwise(planes):
        difference = (a - b) / np.float32(math.sqrt(2))
        white = clipped(difference - difference.mean(axis=1, keepdims=True))[1]
        found.append(clipped(difference.mean(axis=1))[1] ** 2 - white**2 / columns)
    variance = float(np.mean(found))
    spread = white**2 / columns + max(variance, 0)
    return _root(variance, spread * math.sqrt(2 / (rows * len(found))), len(found))


def bias_structure(planes: Sequence[F4]) -> Structure:
    """Fixed pattern from the covariance of the means of even and odd frames, which share nothing else.

    So no noise need be subtracted. Pixels 6 σ away (hot, cosmic rays) are set to the mean.
    """
    half = [np.mean(np.asarray(planes[start::2], np.float64), axis=0) for start in (0, 1)]
    middle = (half[0] + half[1]) / 2
    wild = np.abs(middle - np.median(middle)) > 6 * max(robust_sigma(middle), 0.5)
    wild |= np.abs(half[0] - half[1] - np.median(half[0] - half[1])) > 6 * max(robust_sigma(half[0] - half[1]), 0.5)
    half = [_centred(image, wild) for image in half]
    rows = [image.mean(axis=1) for image in half]
    columns = [image.mean(axis=0) for image in half]
    pixels = [h - r[:, None] - c[None, :] for h, r, c in zip(half, rows, columns, strict=True)]
    profile = (middle - middle[~wild].mean()) * ~wild
    return Structure(
        _shared(*rows), _shared(*columns), _shared(*pixels), profile.mean(axis=1), profile.mean(axis=0)
    )  # fmt: skip


def _centred(image: F8, wild: NDArray[np.bool_]) -> F8:
    filled = np.where(wild, image[~wild].mean(), image)
    return np.asarray(filled - filled.mean())


def noise_correlation(planes: Sequence[Sequence[AmplifierSignal]]) -> F8 | None:
    """Correlation coefficients of the noise of amplifiers, pixel by pixel in the order of reading.

    From differences of neighbouring frames, clipped at 5 σ; the error is 1/√(pixels · frames / 2). None with a single
    amplifier, or where amplifiers differ in shape; NaN with an amplifier that has no noise.
    """
    amplifiers = [signal.amplifier for signal in planes[0]]
    if len(amplifiers) < 2 or len({amplifier.data.shape for amplifier in amplifiers}) != 1:
        return None
    total = np.zeros((len(amplifiers), len(amplifiers)))
    for one, two in pairwise(planes):
        vectors = []
        for a, b in zip(one, two, strict=True):
            difference = in_order_of_reading(a.amplifier, amplifiers, a.data - b.data).ravel()
            difference = difference - np.median(difference)
            limit = np.float32(5 * robust_sigma(difference))
            vectors.append(np.where(np.abs(difference) > limit, 0, difference).astype(np.float64))
        total += np.cov(np.array(vectors))
    sigma = np.sqrt(np.diag(total))
    sigma = np.where(sigma > 0, sigma, np.nan)  # an amplifier without noise is dead
    return np.asarray(total / sigma / sigma[:, None])


def _shared_noise(correlation: F8, planes: Sequence[Sequence[AmplifierSignal]], judge: Judge) -> Quantity:
    names = [signal.amplifier.name for signal in planes[0]]
    between = np.triu(np.abs(correlation), 1)
    worst = np.unravel_index(int(np.argmax(between)), between.shape)
    error = 1 / math.sqrt(planes[0][0].data.size * len(planes) / 2)
    value = float(correlation[worst])
    message = f"between {names[worst[0]]} and {names[worst[1]]}"
    return judge(
        "noise_correlation", "", value, error, "", len(planes) - 1, "RON_OOL", message=message
    )  # fmt: skip


def _shared(a: F8, b: F8) -> Measured:
    covariance = float(np.mean(a * b))
    error = math.sqrt((float(np.mean(a * a)) * float(np.mean(b * b)) + covariance**2) / a.size)
    return _root(covariance, error, a.size)


def _root(variance: float, error: float, number: int) -> Measured:
    """Square root of a variance with its error; of one that is not positive 0, with an error at which it would show."""
    if not math.isfinite(variance):
        return Measured(math.nan, math.nan, number)
    root = math.sqrt(max(variance, 0.0))
    return Measured(root, min(error / (2 * root), math.sqrt(error)) if root > 0 else math.sqrt(error), number)


_NEEDS: Final = Needs(frozenset({"bias"}), least=2)
BIAS: Final = Kind(
    "BIAS",
    "offset, read noise, structure, noise shared by amplifiers",
    BiasOptions,
    lambda _: _NEEDS,
    measure_bias,
)
