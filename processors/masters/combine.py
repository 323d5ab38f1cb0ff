"""Combining images pixel by pixel with sigma clipping, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from processors.kernels import inlined, kernel
from processors.masters.sorting_network import comparators

F4 = NDArray[np.float32]
Method = Literal["mean", "median"]
MOST_IMAGES: Final = 4096
_LOWEST_CLIP: Final = 1.0  # nearer to the median than this, clipping could take every value
_PLAIN: Final = np.float32(1e18)  # squares of what is smaller fit into float32
_NOTHING: Final = np.float32(np.inf)
_BLOCK: Final = 256  # pixels whose stack is sorted at a time: 20 images of them fit into the first-level cache
_BLOCK_VALUES: Final = 65536  # of large stacks fewer pixels, so that the second-level cache holds them
_NARROWEST: Final = 16
_HALF, _ONE = np.float32(0.5), np.float32(1)
_MEDIAN_LOSS: Final = np.float32(np.pi / 2)  # variance of a median in that of the mean, of many Gaussian values


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
    method: Method = "mean",
    low: float = 3.0,
    high: float = 3.0,
    noise: tuple[float, float] = (0.0, 0.0),
    memory_mb: float = 2.0,
    threads: int = 1,
) -> Combined:
    """Sigma-clipped mean, or median, of images of one shape.

    Per pixel, values outside [median - low σ, median + high σ] are rejected once, where σ is the larger of the width
    of the middle half of the values (made a Gaussian σ with Blom's (1958) normal order statistics) and the noise
    expected, √(noise[0] + noise[1] · median). With three values the middle half says nothing and only the expected
    noise clips; one or two values are never clipped. NaN and infinities are left out. `variance` is that of the mean:
    the sample variance of what was kept, but no less than the expected one, over `count`; for the median times π/2.

    Stacks are sorted by a network of comparisons, the same for every pixel, which therefore runs over blocks of pixels
    in vector instructions (Batcher 1968, *Sorting networks and their applications*).

    Parameters
    ----------
    images : float32 arrays (or memory maps, in any byte order) of one shape (rows, columns)
    low, high : clipping limits in σ, at least 1; infinity clips nothing
    noise : variance at zero signal (units²) and variance per unit of signal (units)
    memory_mb : size of the tile that a thread holds besides the result; one that stays in the cache is fastest
    threads : how many threads share the rows

    Raises
    ------
    ValueError
        No image, too many, different shapes, or limits below 1.
    """
    if not 0 < len(images) <= MOST_IMAGES or len({image.shape for image in images}) != 1:
        raise ValueError(f"cannot combine {len(images)} images of shapes {sorted({i.shape for i in images})}")
    if not (low >= _LOWEST_CLIP and high >= _LOWEST_CLIP):
        raise ValueError(f"cannot clip at {low} and {high} σ: less than {_LOWEST_CLIP:g} leaves nothing")
    rows, columns = images[0].shape
    tile_rows = max(1, min(rows, int(memory_mb * 1e6 / (4 * len(images) * columns))))
    made = Combined(
        np.empty((rows, columns), np.float32),
        np.empty((rows, columns), np.float32),
        np.empty((rows, columns), np.uint16),
    )
    limits = (np.float32(low), np.float32(high), np.float32(noise[0]), np.float32(noise[1]), method == "median")

    def part(first: int, last: int) -> None:
        tile = np.empty((len(images), tile_rows, columns), np.float32)
        for start in range(first, last, tile_rows):
            end = min(start + tile_rows, last)
            for number, image in enumerate(images):
                tile[number, : end - start] = image[start:end]
            out = (made.value[start:end], made.variance[start:end], made.count[start:end])
            _combine(tile, comparators(len(images)), _width_factors(len(images)), *limits, *out)

    edges = [rows * number // threads for number in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, edges, edges[1:]))
    return made


@lru_cache(maxsize=16)
def _width_factors(most: int) -> F4:
    """1 / (expected width of the middle half of n Gaussian values), by n; 0 below four values."""
    normal = NormalDist()
    factors = np.zeros(most + 1, np.float32)
    for n in range(4, most + 1):
        factors[n] = 0.5 / normal.inv_cdf((n - n // 4 - 0.375) / (n + 0.25))
    return factors


@inlined
def _load(tile: Any, y: Any, x0: Any, size: Any, block: Any) -> None:
    """Copy the stacks of some pixels; what is no number becomes +inf, to be sorted to the end."""
    for k in range(tile.shape[0]):
        T, B = tile[k, y], block[k]
        for b in range(size):
            new = T[x0 + b]
            B[b] = new if abs(new) < _NOTHING else _NOTHING  # false for NaN


@inlined
def _sort(block: Any, network: Any, size: Any) -> None:
    """Sort the stack of every pixel of a block."""
    for c in range(network.shape[0]):
        A, B = block[network[c, 0]], block[network[c, 1]]
        for b in range(size):
            one, other = A[b], B[b]
            A[b] = one if one < other else other
            B[b] = other if one < other else one


@inlined
def _whole_block(block: Any, size: Any, factor: Any, low: Any, high: Any, noise0: Any, noise1: Any,
                 lines: Any, value: Any, variance: Any) -> None:  # fmt: skip
    """Clipped mean and its variance of sorted stacks without gaps, all pixels of the block at once.

    `lines` holds seven rows of scratch; afterwards row 5 is the number of values kept, row 6 that of those too low.
    """
    zero, half, one = np.float32(0), _HALF, _ONE
    n = block.shape[0]
    M, E, L, H, S, N, F = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5], lines[6]
    A, B, C, D = block[(n - 1) // 2], block[n // 2], block[n // 4], block[n - 1 - n // 4]
    for b in range(size):
        middle = half * A[b] + half * B[b]
        expected = noise0 + noise1 * max(middle, zero)
        sigma = max((D[b] - C[b]) * factor, np.sqrt(expected))
        clips = (sigma > zero) & (n > 2)
        M[b], E[b] = middle, expected
        L[b] = -low * sigma if clips else -_NOTHING
        H[b] = high * sigma if clips else _NOTHING
        S[b] = variance[b] = N[b] = F[b] = zero
    for k in range(n):
        V = block[k]
        for b in range(size):
            apart = V[b] - M[b]
            inside = (apart >= L[b]) & (apart <= H[b])
            F[b] += one if apart < L[b] else zero
            N[b] += one if inside else zero
            apart = apart if inside else zero
            S[b] += apart
            variance[b] += apart * apart
    for b in range(size):
        shift = S[b] / N[b]
        spread = (variance[b] - shift * S[b]) / max(N[b] - one, one)
        value[b] = M[b] + shift
        variance[b] = max(spread, E[b]) / N[b]


@inlined
def _scatter(values: Any, first: Any, last: Any) -> Any:
    """Mean and sample variance of values[first:last], in double precision; the variance of one value is 0."""
    total, squares = 0.0, 0.0
    for k in range(first, last):
        total += values[k]
    mean = total / (last - first)
    for k in range(first, last):
        squares += (values[k] - mean) ** 2
    return mean, squares / max(last - first - 1, 1)


@inlined
def _one_pixel(values: Any, widths: Any, low: Any, high: Any, noise0: Any, noise1: Any) -> Any:
    """Clipped mean, its variance, and first and last + 1 of what was kept of a sorted stack with +inf at its end."""
    n = len(values)
    while n > 0 and values[n - 1] == np.inf:
        n -= 1
    if n == 0:
        return np.nan, np.nan, 0, 0
    middle = 0.5 * values[(n - 1) // 2] + 0.5 * values[n // 2]
    expected = noise0 + noise1 * max(middle, 0.0)
    width = np.float64(values[n - 1 - n // 4]) - values[n // 4]
    sigma = max(width * widths[n], np.sqrt(expected))
    first, last = 0, n
    if n > 2 and sigma > 0:
        while values[first] < middle - low * sigma:
            first += 1
        while values[last - 1] > middle + high * sigma:
            last -= 1
    mean, spread = _scatter(values, first, last)
    return mean, max(spread, expected) / (last - first), first, last


@kernel
def _combine(tile: Any, network: Any, widths: Any, low: Any, high: Any, noise0: Any, noise1: Any, median: Any,
             value: Any, variance: Any, count: Any) -> None:  # fmt: skip
    images, (rows, columns) = tile.shape[0], value.shape  # the last tile may be filled in part only
    most = max(min(_BLOCK, _BLOCK_VALUES // images), _NARROWEST)
    block, lines = np.empty((images, most), np.float32), np.empty((7, most), np.float32)
    for y in range(rows):
        for x0 in range(0, columns, most):
            size = min(most, columns - x0)
            V, S, N = value[y, x0 : x0 + size], variance[y, x0 : x0 + size], count[y, x0 : x0 + size]
            _load(tile, y, x0, size, block)
            _sort(block, network, size)
            _whole_block(block, size, widths[images], low, high, noise0, noise1, lines, V, S)
            for b in range(size):
                first, last = int(lines[6, b]), int(lines[6, b] + lines[5, b])
                if not (block[images - 1, b] < _PLAIN and block[0, b] > -_PLAIN):
                    V[b], S[b], first, last = _one_pixel(block[:, b], widths, low, high, noise0, noise1)
                if median and last > first:
                    V[b] = _HALF * block[(first + last - 1) // 2, b] + _HALF * block[(first + last) // 2, b]
                    S[b] *= _MEDIAN_LOSS if last - first > 2 else _ONE
                N[b] = last - first
