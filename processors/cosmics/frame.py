"""The working copy of a frame: a border by reflection, values under the mask, nothing that is not a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.cosmics.local import buried, good_median
from processors.errors import BadFrame
from processors.kernels import kernel

ROWS, COLUMNS = 8, 16  # border on each side; the widest look is 6 pixels, by 16 columns at once
BAND = 64  # rows that are worked on together; bands of threads begin at a multiple of it
LEAST_LEVEL: Final = np.float32(1e-5)  # e-², as in the published program
_MANY: Final = 64  # masked pixels in a row from which it pays to look for the depths of the mask first
LOWEST_SIDE: Final = 9  # pixels; that of the widest median

AVOID, COSMIC, QUEUED = 1, 2, 4  # bits of the state plane

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Working:
    """Planes of one frame with a border of ROWS and COLUMNS pixels.

    `image`: e-, float32. `level`: median-filtered and added to `noise2` it is the variance expected without cosmic
    rays, e-²; the same array as `image` where photons on top of a read noise make it. `state`: uint8 bits; the border
    is AVOID. `shape`: (rows, columns) of the frame itself.
    """

    image: Image
    level: Image
    state: NDArray[np.uint8]
    noise2: float
    shape: tuple[int, int]


def working_copy(
    sci: Image, noise: float | Image, mask: NDArray[np.uint16] | None, avoid: int, each_band: Callable[..., list[Any]]
) -> Working:
    """Copy a frame; `each_band(function)` calls function(first row, last row + 1) for bands that make up the frame.

    Raises:
        BadFrame: values outside the mask that are NaN or infinite, in the variance also not positive.
    """
    rows, columns = sci.shape
    given = np.zeros((1, columns), np.uint16) if mask is None else mask
    image = np.empty((rows + 2 * ROWS, columns + 2 * COLUMNS), np.float32)
    state = np.empty(image.shape, np.uint8)
    bad = sum(each_band(lambda y0, y1: _fill(sci, given, np.uint16(avoid), image, state, y0, y1)))
    if bad:
        raise BadFrame(f"{bad} pixels are NaN or infinite and not masked")
    state[:ROWS] = state[-ROWS:] = state[:, :COLUMNS] = state[:, -COLUMNS:] = AVOID
    reflect(image)
    if isinstance(noise, float):
        return Working(image, image, state, noise * noise, (rows, columns))
    level = np.empty_like(image)
    bad = sum(each_band(lambda y0, y1: _fill_variance(noise, given, np.uint16(avoid), level, y0, y1)))
    if bad:
        raise BadFrame(f"{bad} pixels have a variance that is not positive and are not masked")
    reflect(level)
    return Working(image, level, state, 0.0, (rows, columns))


@kernel
def _fill(sci: Any, mask: Any, avoid: Any, image: Any, state: Any, y0: Any, y1: Any) -> Any:
    """Rows y0 to y1 - 1 of the image and its state; the number of values that are not numbers and not masked."""
    columns = sci.shape[1]
    infinite = np.float32(np.inf)
    deep = np.empty(columns, np.uint8)
    bad = 0
    for y in range(y0, y1):
        S, M = sci[y], mask[min(y, mask.shape[0] - 1)]
        D, F = image[y + ROWS, COLUMNS : COLUMNS + columns], state[y + ROWS, COLUMNS : COLUMNS + columns]
        masked = 0
        broken = 0
        for x in range(columns):
            out = (M[x] & avoid) != 0
            D[x] = S[x]
            F[x] = np.uint8(AVOID) if out else np.uint8(0)
            masked += out
            broken += (not out) & (not (abs(S[x]) < infinite))
        bad += broken
        if masked == 0:
            continue
        deep[:] = 0
        if masked > _MANY:
            buried(mask, avoid, y, deep)
        for x in range(columns):
            if F[x] != 0:
                # never below what was there: a hollow in a saturated star would make cosmic rays of its rim
                around = good_median(sci, mask, avoid, y, x) if deep[x] == 0 else -infinite
                own = S[x] if abs(S[x]) < infinite else -infinite
                value = max(own, around)
                D[x] = value if value > -infinite else np.float32(0)
    return bad


@kernel
def _fill_variance(var: Any, mask: Any, avoid: Any, level: Any, y0: Any, y1: Any) -> Any:
    """As `_fill`, for variances: under the mask the median of good pixels near, or zero."""
    columns = var.shape[1]
    infinite = np.float32(np.inf)
    deep = np.empty(columns, np.uint8)
    bad = 0
    for y in range(y0, y1):
        V, M, D = var[y], mask[min(y, mask.shape[0] - 1)], level[y + ROWS, COLUMNS : COLUMNS + columns]
        broken = 0
        masked = 0
        for x in range(columns):
            out = (M[x] & avoid) != 0
            D[x] = V[x]
            masked += out
            broken += (not out) & (not ((V[x] > np.float32(0)) & (V[x] < infinite)))
        bad += broken
        if masked == 0:
            continue
        deep[:] = 0
        if masked > _MANY:
            buried(mask, avoid, y, deep)
        for x in range(columns):
            if (M[x] & avoid) != 0:
                D[x] = max(good_median(var, mask, avoid, y, x), np.float32(0)) if deep[x] == 0 else np.float32(0)
    return bad


@kernel
def reflect(plane: Any) -> None:
    """Fill the border of a plane by reflection about the first and last pixels."""
    rows, columns = plane.shape[0] - 2 * ROWS, plane.shape[1] - 2 * COLUMNS
    for y in range(ROWS, ROWS + rows):
        for k in range(COLUMNS):
            plane[y, k] = plane[y, COLUMNS + _reflected(k - COLUMNS, columns)]
            plane[y, COLUMNS + columns + k] = plane[y, COLUMNS + _reflected(columns + k, columns)]
    for k in range(ROWS):
        plane[k] = plane[ROWS + _reflected(k - ROWS, rows)]
        plane[ROWS + rows + k] = plane[ROWS + _reflected(rows + k, rows)]


@kernel
def _reflected(index: Any, size: Any) -> Any:
    """The pixel inside 0 … size - 1 that lies at `index` in an endless row of mirrors."""
    index = abs(index) % (2 * size - 2)
    return index if index < size else 2 * size - 2 - index
