"""Robust numbers of pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def clipped(values: NDArray[Any], width: float = 4.0, iterations: int = 10) -> tuple[float, float, int]:
    """Mean, standard deviation and number of the values within `width` σ of the median; NaN, NaN, 0 without any.

    The first σ is 1.4826 times the median absolute deviation, or the standard deviation where whole numbers make that
    zero. The result is corrected for what a clipped Gaussian loses (0.05 % at 4 σ).
    """
    kept = np.asarray(values, dtype=np.float64).ravel()
    kept = kept[np.isfinite(kept)]
    if kept.size == 0:
        return math.nan, math.nan, 0
    centre = float(np.median(kept))
    sigma = 1.4826 * float(np.median(np.abs(kept - centre))) or float(kept.std())
    for _ in range(iterations):
        # half a unit more: the values may be whole numbers
        inside = np.abs(kept - centre) <= width * sigma + 0.5
        if inside.all():
            break
        kept = kept[inside]
        centre, sigma = float(kept.mean()), float(kept.std())
    density = math.exp(-width * width / 2) / math.sqrt(2 * math.pi)
    lost = 2 * width * density / math.erf(width / math.sqrt(2))
    return float(kept.mean()), float(kept.std()) / math.sqrt(1 - lost), int(kept.size)


def quick_median(image: NDArray[Any], most: int = 200_000) -> float:
    """Median of the finite pixels, of every n-th row and column where there are more than `most`."""
    some = sample(image, most)
    some = some[np.isfinite(some)]
    return float(np.median(some)) if some.size else math.nan


def sample(image: NDArray[Any], most: int) -> NDArray[Any]:
    """About `most` pixels of an image as a vector: every n-th row and column."""
    step = max(1, math.isqrt(image.size // most))
    return image[step // 2 :: step, step // 2 :: step].ravel()
