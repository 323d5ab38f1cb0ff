"""The sky of an image in a few milliseconds: clipped medians of blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.kernels import kernel

F4 = NDArray[np.float32]
BLOCK: Final = 128  # pixels
_STEP: Final = 5  # every so many pixels of every so many rows of a block
_FEWEST: Final = 30  # usable pixels that tell a block's level
EVERY_BIT: Final = np.uint16(0xFFFF)
NO_NOISE: Final = "the sky has no noise that can be told: the image is constant, or in coarse steps"


@dataclass(frozen=True, slots=True)
class Sky:
    """Sky of an image, e- per pixel.

    Attributes
    ----------
    level_e, sigma_e : medians of the blocks' levels and of their noises
    gradient_e : from the darkest to the brightest corner of a plane through the levels
    blocks_e, noises_e : level and noise of each block (rows, columns), float32; NaN where too little is usable
    number : blocks that have a level
    reason : why all is NaN
    """

    level_e: float
    sigma_e: float
    gradient_e: float
    blocks_e: F4
    noises_e: F4
    number: int
    reason: str = ""


def check_planes(sci: NDArray[Any], **others: NDArray[Any] | None) -> None:
    """Planes of an image must have its shape (BadFrame): the kernels do not look where they read."""
    if sci.ndim != 2:
        raise BadFrame(f"an image of {sci.ndim} dimensions")
    for name, plane in others.items():
        if plane is not None and plane.shape != sci.shape:
            raise BadFrame(f"the image has {sci.shape} pixels, its {name} {plane.shape}")


def measure_sky(sci: F4, mask: NDArray[np.uint16] | None = None, refused: np.uint16 = EVERY_BIT) -> Sky:
    """Sky level, noise and gradient from every fifth pixel of every fifth row, in blocks of 128 pixels.

    In a block the level is the median and the noise 1.4826 times the median absolute deviation, clipped at 3 σ until
    nothing changes. A block of which stars cover much is too bright; the median over the blocks is robust against it.

    Parameters
    ----------
    sci : (rows, columns) float32, e-
    refused : bits of the mask that make a pixel unusable; by default any

    Raises
    ------
    BadFrame
        The image has not two dimensions, or the mask another shape.
    """
    check_planes(sci, mask=mask)
    rows, columns = sci.shape
    shape = (max(1, rows // BLOCK), max(1, columns // BLOCK))
    blocks, noises = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    _levels(sci, _plane_or_none(mask), refused, blocks, noises)
    found = np.isfinite(blocks)
    number = int(found.sum())
    if number == 0:
        reason = f"no block has {_FEWEST} usable pixels: the rest is masked or not a number"
        return Sky(math.nan, math.nan, math.nan, blocks, noises, 0, reason)
    level, sigma = float(np.median(blocks[found])), float(np.median(noises[found]))
    return Sky(level, sigma, _gradient(blocks, found), blocks, noises, number)


def _plane_or_none(mask: NDArray[np.uint16] | None) -> NDArray[np.uint16]:
    return np.zeros((0, 0), np.uint16) if mask is None else mask


def _gradient(blocks: F4, found: NDArray[np.bool_]) -> float:
    """Difference between the corners of a plane, fitted with 3 σ clipping; NaN for fewer than four blocks in a row."""
    y, x = np.nonzero(found)
    if np.unique(y).size < 2 or np.unique(x).size < 2 or y.size < 6:
        return math.nan
    terms = np.stack([np.ones(y.size), x / blocks.shape[1], y / blocks.shape[0]], axis=1)
    values = blocks[found].astype(np.float64)
    kept = np.ones(y.size, np.bool_)
    for _ in range(5):
        plane = np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0]
        rest = values - terms @ plane
        sigma = 1.4826 * float(np.median(np.abs(rest[kept])))
        inside = np.abs(rest) <= 3 * sigma
        if inside.sum() < 6 or np.array_equal(inside, kept):
            break
        kept = inside
    return float(abs(plane[1]) + abs(plane[2]))


@kernel
def _levels(sci: Any, mask: Any, refused: Any, blocks: Any, noises: Any) -> None:
    rows, columns = sci.shape
    high, wide = blocks.shape
    values = np.empty((rows // high + 1) * (columns // wide + 1), np.float32)
    for j in range(high):
        for i in range(wide):
            count = 0
            for y in range(j * rows // high + _STEP // 2, (j + 1) * rows // high, _STEP):
                for x in range(i * columns // wide + y % _STEP, (i + 1) * columns // wide, _STEP):
                    value = sci[y, x]
                    usable = mask.size == 0 or mask[y, x] & refused == 0
                    # NaN compares false
                    if usable and abs(value) < np.float32(np.inf):
                        values[count] = value
                        count += 1
            if count >= _FEWEST:
                blocks[j, i], noises[j, i] = _clipped(values[:count])


@kernel
def _clipped(values: Any) -> Any:
    """Median and σ by the median absolute deviation of the values within 3 σ; they are sorted in place."""
    values.sort()
    first, last = 0, values.size
    level, sigma = np.float32(0), np.float32(0)
    for _ in range(10):
        count = last - first
        level = np.float32(0.5) * (values[first + (count - 1) // 2] + values[first + count // 2])
        sigma = np.float32(1.4826) * _deviation(values, first, last, level)
        # a little more than nothing, for images of whole numbers
        reach = max(np.float32(3) * sigma, np.float32(1e-6) * abs(level))
        while last - first > 1 and values[first] < level - reach:
            first += 1
        while last - first > 1 and values[last - 1] > level + reach:
            last -= 1
        if last - first == count:
            break
    return level, sigma


@kernel
def _deviation(values: Any, first: Any, last: Any, level: Any) -> Any:
    """Median absolute deviation of sorted values[first:last]: from the median outwards to half of them."""
    count = last - first
    low, high = first + (count - 1) // 2, first + (count - 1) // 2 + 1
    before, found = np.float32(0), np.float32(0)
    for _ in range(count // 2 + 1):
        before = found
        below = level - values[low] if low >= first else np.float32(np.inf)
        above = values[high] - level if high < last else np.float32(np.inf)
        if below <= above:
            found = below
            low -= 1
        else:
            found = above
            high += 1
    return found if count % 2 == 1 else np.float32(0.5) * (before + found)
