"""Read noise and gain from pairs of frames: the photon transfer method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.statistics import clipped, sample

_ENOUGH_PIXELS: Final = 500_000  # σ to 0.1 %
_ENOUGH_BOXES: Final = 400

Image = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A number with its standard error, and from how many boxes or pairs it comes."""

    value: float
    error: float
    number: int


def read_noise_from_pair(a: Image, b: Image) -> float:
    """Read noise of two biases in their own units: the clipped standard deviation of a - b over √2.

    The difference takes out fixed pattern, and the clipped mean the drift of the level (Janesick 2001, *Scientific
    Charge-Coupled Devices*, section 2.3.4). Of large images every n-th row and column does. NaN when nothing can be
    measured.
    """
    return clipped(sample(a, _ENOUGH_PIXELS).astype(np.float64) - sample(b, _ENOUGH_PIXELS))[1] / math.sqrt(2)


def read_noise(biases: Sequence[Image]) -> Measured:
    """Read noise from all pairs of neighbours in a run of biases: their median, its error from their scatter."""
    noises = [read_noise_from_pair(a, b) for a, b in pairwise(biases)]
    return _summary([noise for noise in noises if math.isfinite(noise)])


def gain_from_pair(a: Image, b: Image, read_noise_adu: float, box: int = 50, most_adu: float = math.inf) -> Measured:
    """Gain in e-/ADU from two flats (bias-subtracted, ADU) by the difference method in boxes.

    In a box with means A and B let r = A / B. The variance of a - r b is free of fixed pattern, and

        K = A (1 + r) / (var(a - r b) - read_noise² (1 + r²))

    which is Janesick's (2001, section 2.3.5; 2007, *Photon Transfer*, chapter 5) S / (σ² - σ_read²) for two exposures
    of unequal level. It is the gain at the flats' level; how it changes with the level (brighter-fatter, Astier et al.
    2019, A&A 629, A36; non-linearity) takes a ladder of levels. The median over the boxes is robust against stars and
    blemishes. Boxes that hold pixels above `most_adu` or NaN, or no more than 50 times the read noise, say nothing.
    Of many boxes every n-th is looked at, 400 at least.
    """
    rows, columns = a.shape
    corners = [(y, x) for y in range(0, rows - box + 1, box) for x in range(0, columns - box + 1, box)]
    gains = []
    for y, x in corners[:: max(1, len(corners) // _ENOUGH_BOXES)]:
        place = slice(y, y + box), slice(x, x + box)
        gains.append(_box_gain(a[place], b[place], read_noise_adu, most_adu))
    return _summary([gain for gain in gains if math.isfinite(gain)])


def gain(flats: Sequence[Image], read_noise_adu: float, box: int = 50, most_adu: float = math.inf) -> Measured:
    """Gain in e-/ADU from all pairs of neighbours in a run of flats, weighted by their errors."""
    pairs = [gain_from_pair(a, b, read_noise_adu, box, most_adu) for a, b in pairwise(flats)]
    pairs = [pair for pair in pairs if math.isfinite(pair.value) and pair.error > 0]
    if not pairs:
        return Measured(math.nan, math.nan, 0)
    weights = np.array([pair.error**-2 for pair in pairs])
    value = float(np.average([pair.value for pair in pairs], weights=weights))
    return Measured(value, float(weights.sum() ** -0.5), sum(pair.number for pair in pairs))


def _box_gain(a: Image, b: Image, read_noise_adu: float, most_adu: float) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    highest = max(a.max(), b.max())  # NaN compares false
    mean_a, mean_b = float(np.median(a)), float(np.median(b))
    if not (highest < most_adu and min(mean_a, mean_b) > 50 * read_noise_adu):
        return math.nan
    ratio = mean_a / mean_b
    sigma = clipped(a - ratio * b)[1]
    shot = sigma**2 - read_noise_adu**2 * (1 + ratio**2)
    return mean_a * (1 + ratio) / shot if shot > 0 else math.nan


def _summary(values: Sequence[float]) -> Measured:
    if not values:
        return Measured(math.nan, math.nan, 0)
    middle = float(np.median(values))
    sigma = 1.4826 * float(np.median(np.abs(np.asarray(values) - middle)))
    return Measured(middle, sigma * math.sqrt(math.pi / 2 / len(values)), len(values))
