"""Combining images pixel by pixel with sigma clipping, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from processors.kernels import inlined, kernel

F4 = NDArray[np.float32]
MOST_IMAGES: Final = 4096


@dataclass(frozen=True, slots=True)
class Combined:
    """Combined image, variance of its values, and number of inputs that were kept; each (rows, columns).

    A pixel that no input knows is NaN in `value` and `variance`, 0 in `count`.
    """

    value: F4
    variance: F4
    count: NDArray[np.uint16]


def combine(
    images: Sequence[F4],
    method: Literal["mean", "median"] = "mean",
    low: float = 3.0,
    high: float = 3.0,
    noise: tuple[float, float] = (0.0, 0.0),
    memory_mb: float = 128.0,
) -> Combined:
    """Sigma-clipped mean, or median, of images of one shape.

    Per pixel, values outside [median - low σ, median + high σ] are rejected once, where σ is the larger of the width
    of the middle half of the values (made a Gaussian σ with Blom's (1958) normal order statistics) and the noise
    expected, √(noise[0] + noise[1] · median). With three values the middle half says nothing and only the expected
    noise clips; one or two values are never clipped. NaN is left out. `variance` is that of the mean: the sample
    variance of what was kept, but no less than the expected one, over `count`; for the median times π/2.

    Parameters
    ----------
    images : float32 arrays (or memory maps) of one shape (rows, columns)
    noise : variance at zero signal (units²) and variance per unit of signal (units)
    memory_mb : size of the tile that is in memory besides the result

    Raises
    ------
    ValueError
        No image, too many, or different shapes.
    """
    if not 0 < len(images) <= MOST_IMAGES or len({image.shape for image in images}) != 1:
        raise ValueError(f"cannot combine {len(images)} images of shapes {sorted({i.shape for i in images})}")
    rows, columns = images[0].shape
    tile_rows = max(1, min(rows, int(memory_mb * 1e6 / (4 * len(images) * columns))))
    value, variance = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    count = np.empty((rows, columns), np.uint16)
    widths = _width_factors(len(images))
    tile = np.empty((len(images), tile_rows, columns), np.float32)
    for start in range(0, rows, tile_rows):
        end = min(start + tile_rows, rows)
        for number, image in enumerate(images):
            tile[number, : end - start] = image[start:end]
        _combine(
            tile[:, : end - start],
            widths,
            np.float32(low),
            np.float32(high),
            np.float32(noise[0]),
            np.float32(noise[1]),
            method == "median",
            value[start:end],
            variance[start:end],
            count[start:end],
        )
    return Combined(value, variance, count)


def _width_factors(most: int) -> F4:
    """1 / (expected width of the middle half of n Gaussian values), by n; 0 below four values."""
    normal = NormalDist()
    factors = np.zeros(most + 1, np.float32)
    for n in range(4, most + 1):
        factors[n] = 0.5 / normal.inv_cdf((n - n // 4 - 0.375) / (n + 0.25))
    return factors


@inlined
def _sorted_finite(tile: Any, y: Any, x: Any, values: Any) -> Any:
    """Fill `values` with the finite values of a pixel in order; their number."""
    n = 0
    for k in range(tile.shape[0]):
        new = tile[k, y, x]
        if np.isfinite(new):
            place = n
            while place > 0 and values[place - 1] > new:
                values[place] = values[place - 1]
                place -= 1
            values[place] = new
            n += 1
    return n


@inlined
def _inside(values: Any, n: Any, lowest: Any, highest: Any) -> Any:
    """First and last + 1 of the sorted values from lowest to highest."""
    first, last = 0, n
    while values[first] < lowest:
        first += 1
    while values[last - 1] > highest:
        last -= 1
    return first, last


@inlined
def _scatter(values: Any, first: Any, last: Any) -> Any:
    """Mean and sample variance of values[first:last]; the variance of one value is 0."""
    total, squares = 0.0, 0.0
    for k in range(first, last):
        total += values[k]
    mean = total / (last - first)
    for k in range(first, last):
        squares += (values[k] - mean) ** 2
    return mean, squares / max(last - first - 1, 1)


@kernel
def _combine(tile: Any, widths: Any, low: Any, high: Any, noise0: Any, noise1: Any, median: Any,
             value: Any, variance: Any, count: Any) -> None:  # fmt: skip
    images, rows, columns = tile.shape
    values = np.empty(images, np.float32)
    for y in range(rows):
        for x in range(columns):
            n = _sorted_finite(tile, y, x, values)
            if n == 0:
                value[y, x], variance[y, x], count[y, x] = np.nan, np.nan, 0
                continue
            middle = np.float32(0.5) * (values[(n - 1) // 2] + values[n // 2])
            expected = noise0 + noise1 * max(middle, np.float32(0))
            sigma = max((values[n - 1 - n // 4] - values[n // 4]) * widths[n], np.sqrt(expected))
            first, last = 0, n
            if n > 2 and sigma > 0:
                first, last = _inside(values, n, middle - low * sigma, middle + high * sigma)
            kept = last - first
            mean, spread = _scatter(values, first, last)
            spread = max(spread, expected)
            if median:
                mean = 0.5 * (values[(first + last - 1) // 2] + values[(first + last) // 2])
                spread *= 0.5 * np.pi if kept > 2 else 1.0
            value[y, x], variance[y, x], count[y, x] = mean, spread / kept, kept
