"""FLAT: level, pixel response and illumination from flats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np

from processors.characterise.kind import Kind
from processors.characterise.result import Characterisation, Figure, Judge, Quantity, flags_of, matrix, series
from processors.characterise.sequence import LIT, DetectorSequence, Needs
from processors.characterise.signal import F4, F8, AmplifierSignal, box_means, master_signal, robust_sigma, signals
from processors.ptc import Measured

_CELLS: Final = 16  # of the illumination map, each way


@dataclass(frozen=True, slots=True)
class FlatOptions:
    """Options of FLAT."""

    box: int = field(default=50, metadata={"help": "Boxes in pixels: larger patterns are illumination, smaller PRNU."})
    most: int = field(default=10, metadata={"help": "Frames to look at; more only cost memory."})


def measure_flat(sequence: DetectorSequence, options: FlatOptions, judge: Judge) -> Characterisation:
    """Level, its stability, photo-response non-uniformity and illumination of every amplifier."""
    frames = sequence.main[: options.most]
    structure = master_signal(sequence, sequence.of_type("bias"))
    planes = [_above(signals(sequence, frame), structure) for frame in frames]
    quantities: list[Quantity] = []
    levels, shape = [], sequence.setup(frames[0]).shape
    whole = np.zeros(shape, np.float32)
    for n, signal in enumerate(planes[0]):
        own = [plane[n] for plane in planes]
        images = [item.data for item in own]
        medians = np.array([float(np.median(image)) for image in images])
        quantities += _amplifier(own, medians, options.box, judge)
        levels.append(series(signal.amplifier.name, np.arange(len(own)), medians))
        if _lit(own, medians):
            whole[signal.amplifier.trimmed.slices] = _mean_flat(images, medians) * signal.amplifier.gain_e_adu
    light = illumination(whole)
    low, high = np.quantile(light, [0.05, 0.95])
    pixels = whole.size // light.size
    quantities.append(
        judge("illumination", "", float(high - low) * 100, math.nan, "%", light.size, "FLUENCEGRAD_OOL",
              message=f"5 to 95 % of {light.shape[1]}x{light.shape[0]} cells of {pixels} pixels")
    )  # fmt: skip
    figures = (
        Figure("level", "Median level of each frame", "frame", "ADU", tuple(levels)),
        Figure("illumination", "Illumination over its mean, by the header's gains", "x", "y", image=matrix(light)),
    )
    return Characterisation(
        FLAT.name, sequence.instrument, sequence.detector, sequence.group,
        tuple(quantities), flags_of(quantities), figures,
    )  # fmt: skip


def response_non_uniformity(flats: Sequence[F4], box: int) -> Measured:
    """Photo-response non-uniformity: rms of the pixels' relative response within boxes, as a fraction.

    The covariance of two flats over their means: what they share is response, what they do not is noise, so neither
    gain nor read noise need be known. A plane is taken out of each box first; the median over boxes of all pairs of
    neighbours is robust against stars and blemishes (Janesick 2007, *Photon Transfer*, chapter 6, defines it).
    """
    found = []
    for a, b in pairwise(flats):
        found += [_shared(x, y) for x, y in zip(_boxes(a, box), _boxes(b, box), strict=True)]
    variances = np.array(found)
    middle = float(np.median(variances))
    error = 1.4826 * float(np.median(np.abs(variances - middle))) * math.sqrt(math.pi / 2 / variances.size)
    root = math.sqrt(max(middle, 0.0))
    return Measured(root, error / (2 * root) if root**2 > error else math.sqrt(error), variances.size)


def illumination(image: F4) -> F8:
    """Median of every cell of a coarse grid over their mean: (at most 16, at most 16); NaN without light."""
    rows, columns = image.shape
    high, wide = max(1, rows // _CELLS), max(1, columns // _CELLS)
    cells = np.array([
        [np.median(image[y : y + high, x : x + wide]) for x in range(0, columns - wide + 1, wide)]
        for y in range(0, rows - high + 1, high)
    ], np.float64)  # fmt: skip
    mean = float(cells.mean())
    return np.asarray(cells / (mean if mean > 0 else math.nan))


def _above(
    planes: tuple[AmplifierSignal, ...], structure: tuple[F4, ...] | None
) -> tuple[AmplifierSignal, ...]:  # fmt: skip
    if structure is None:
        return planes
    return tuple(replace(plane, data=plane.data - bias) for plane, bias in zip(planes, structure, strict=True))


def _amplifier(own: Sequence[AmplifierSignal], medians: F8, box: int, judge: Judge) -> list[Quantity]:
    amplifier = own[0].amplifier
    name, count, gain = amplifier.name, len(own), amplifier.gain_e_adu
    full = amplifier.saturation_adu * gain
    error = float(medians.std(ddof=1)) / math.sqrt(count)
    level = float(medians.mean())
    saturated = max(signal.saturated for signal in own)
    dark, nothing = Measured(math.nan, math.nan, 0), (math.nan, math.nan)
    lit = _lit(own, medians)
    response = response_non_uniformity([signal.data for signal in own], box) if lit else dark
    stability = float(medians.std(ddof=1)) / level * 100 if lit else math.nan
    return [
        judge("level", name, level, error, "ADU", count, "FLUENCE_OOL", "mean_level"),
        judge("fluence", name, level * gain, error * gain, "e-", count, "FLUENCE_OOL", scale=full),  # limits: of full
        judge("stability", name, stability, math.nan, "%", count, "FLUX_OOL"),
        judge("prnu", name, response.value * 100, response.error * 100, "%", response.number, "PRNU_OOL"),
        judge("saturated", name, saturated, math.nan, "", count, "SATURATION", "saturation"),
        judge("gradient_x", name, *(_gradient(own[0].data, 1) if lit else nothing), "%", count, "FLUENCEGRAD_OOL"),
        judge("gradient_y", name, *(_gradient(own[0].data, 0) if lit else nothing), "%", count, "FLUENCEGRAD_OOL"),
    ]


def _lit(own: Sequence[AmplifierSignal], medians: F8) -> bool:
    """The light of every frame is above the scatter of its pixels: else there is none to measure a response by."""
    return all(median > robust_sigma(signal.data) for signal, median in zip(own, medians, strict=True))


def _gradient(image: F4, axis: int) -> tuple[float, float]:
    """Change of the level along an axis from edge to edge, %, by a straight line through box means."""
    means, _ = box_means(image, max(2, min(image.shape) // 16))
    line = np.median(means, axis=1 - axis)
    position = (np.arange(line.size) + 0.5) / line.size
    if line.size < 3:
        return math.nan, math.nan
    (slope, _), covariance = np.polyfit(position, line / line.mean() * 100, 1, cov=True)
    return float(slope), math.sqrt(float(covariance[0, 0]))


def _mean_flat(images: Sequence[F4], medians: F8) -> F4:
    total = np.zeros(images[0].shape, np.float64)
    for image, median in zip(images, medians, strict=True):
        total += image * (medians.mean() / median)
    return (total / len(images)).astype(np.float32)


def _boxes(image: F4, box: int) -> list[F8]:
    """Relative deviations from a plane, box by box."""
    rows, columns = image.shape
    high, wide = min(box, rows), min(box, columns)
    y, x = np.mgrid[0:high, 0:wide] - np.array([(high - 1) / 2, (wide - 1) / 2])[:, None, None]
    found = []
    for top in range(0, rows - high + 1, high):
        for left in range(0, columns - wide + 1, wide):
            part = image[top : top + high, left : left + wide].astype(np.float64)
            mean = part.mean()
            part = part - mean
            part -= x * ((part * x).sum() / (x * x).sum()) + y * ((part * y).sum() / (y * y).sum())
            found.append(part / mean)
    return found


def _shared(a: F8, b: F8) -> float:
    return float((a * b).sum()) / (a.size - 3)


def _needs(_: FlatOptions) -> Needs:
    return Needs(LIT, least=2, reference=frozenset({"bias"}), by_filter=True)


FLAT: Final = Kind("FLAT", "level, pixel response, illumination", FlatOptions, _needs, measure_flat)
