"""Signal above the overscan of every amplifier, and statistics of it that all kinds share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.sequence import DetectorSequence
from processors.errors import BadFrame
from processors.fits import Frame, Pixels
from processors.geometry import Amplifier, DetectorSetup
from processors.masters.combine import combine
from processors.ptc import Measured
from processors.statistics import clipped

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
_MOST_REFERENCES: Final = 15  # biases for a master: a bound on memory


@dataclass(frozen=True, slots=True)
class AmplifierSignal:
    """Data of an amplifier above its overscan, ADU (rows, columns); `level_adu` is what was subtracted.

    `level_error_adu` is its standard error, `saturated` the fraction of pixels at or above the saturation.
    """

    amplifier: Amplifier
    data: F4
    level_adu: float
    level_error_adu: float
    saturated: float


def signals(sequence: DetectorSequence, frame: Frame) -> tuple[AmplifierSignal, ...]:
    """Every amplifier of the detector in one frame.

    One level is taken from all of the overscan, not one for each row: the noise of a row's level would be counted as
    read noise. Without an overscan 0 is subtracted.

    Raises
    ------
    BadFrame
        The frame cannot be read, or data or overscan hold NaN.
    """
    setup = sequence.setup(frame)
    raw = frame.image(setup)
    return tuple(_signal(raw, amplifier, setup, frame) for amplifier in setup.amplifiers)


def _signal(raw: Pixels, amplifier: Amplifier, setup: DetectorSetup, frame: Frame) -> AmplifierSignal:
    pixels = raw[amplifier.data.slices]
    where = f"{frame.path.name}: detector {setup.detector}, amplifier {amplifier.name}"
    level, error = 0.0, 0.0
    if amplifier.overscan is not None:
        overscan = raw[amplifier.overscan.slices]
        if not np.isfinite(overscan).all():
            raise BadFrame(f"{where}: the overscan holds NaN")
        level, sigma, number = clipped(overscan)
        error = sigma / math.sqrt(number)
    data = pixels.astype(np.float32) - np.float32(level)
    if not np.isfinite(data).all():
        raise BadFrame(f"{where}: the data hold NaN")
    return AmplifierSignal(amplifier, data, level, error, float((pixels >= amplifier.saturation_adu).mean()))


def master_signal(sequence: DetectorSequence, frames: Sequence[Frame]) -> tuple[F4, ...] | None:
    """Clipped mean of an amplifier's signal over frames (15 at most), for each amplifier; None without any frame."""
    if not frames:
        return None
    planes = [signals(sequence, frame) for frame in frames[:_MOST_REFERENCES]]
    return tuple(combine([plane[n].data for plane in planes]).value for n in range(len(planes[0])))


def noise_of_differences(planes: Sequence[F4]) -> Measured:
    """Noise of one frame from the differences of neighbours, over √2, in the planes' units; NaN with fewer than two.

    The error is the larger of the scatter between pairs and of what so many pixels allow.
    """
    noises = []
    for a, b in pairwise(planes):
        _, sigma, number = clipped(a - b)
        noises.append((sigma / math.sqrt(2), number))
    if not noises:
        return Measured(math.nan, math.nan, 0)
    values = np.array([noise for noise, _ in noises])
    value = float(np.median(values))
    least = value / math.sqrt(2 * sum(number for _, number in noises))
    scatter = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Measured(value, max(least, scatter), len(values))


def box_means(image: NDArray[Any], box: int) -> tuple[F8, F8]:
    """Mean and variance (ddof 1) of every whole box, each (boxes down, boxes across), clipped at 5 σ.

    The first σ is from the median absolute deviation; what a Gaussian loses at 5 σ (10⁻⁵ of the variance) is left. A
    box larger than the image becomes the image.
    """
    rows, columns = image.shape
    high, wide = min(box, rows), min(box, columns)
    down, across = rows // high, columns // wide
    cut = np.asarray(image[: down * high, : across * wide], np.float64)
    boxes = cut.reshape(down, high, across, wide).swapaxes(1, 2).reshape(down * across, high * wide)
    centre = np.median(boxes, axis=1, keepdims=True)
    sigma = 1.4826 * np.median(np.abs(boxes - centre), axis=1, keepdims=True)
    sigma = np.where(sigma > 0, sigma, boxes.std(axis=1, keepdims=True))
    inside = np.abs(boxes - centre) <= 5 * sigma + 0.5
    number = inside.sum(axis=1)
    mean = np.where(inside, boxes, 0).sum(axis=1) / number
    variance = (np.where(inside, boxes - mean[:, None], 0) ** 2).sum(axis=1) / np.maximum(number - 1, 1)
    return mean.reshape(down, across), variance.reshape(down, across)


def robust_sigma(values: NDArray[Any]) -> float:
    """1.4826 times the median absolute deviation; NaN without values."""
    finite = np.asarray(values, np.float64)[np.isfinite(values)]
    if finite.size == 0:
        return math.nan
    return 1.4826 * float(np.median(np.abs(finite - np.median(finite))))
