"""Bright peaks of an image that look like stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.kernels import kernel
from processors.photometry.sky import Sky

F4 = NDArray[np.float32]
_SHARPEST: Final = 0.15  # least share of the peak's light in the mean of a pair of opposite neighbours
_ROOM: Final = 65_536


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks of an image in the order of its rows: pixel (row, column), height above the sky and the sky there, e-."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    height_e: F4
    sky_e: F4

    @property
    def number(self) -> int:
        """How many."""
        return int(self.row.size)

    def take(self, which: NDArray[Any]) -> Peaks:
        """Some of the peaks."""
        return Peaks(self.row[which], self.column[which], self.height_e[which], self.sky_e[which])


def find_peaks(sci: F4, mask: NDArray[np.uint16] | None, sky: Sky, sigmas: float, refused: np.uint16) -> Peaks:
    """Pixels `sigmas` above the sky, brighter than their eight neighbours, none of which is refused, and not too sharp.

    Sharp are peaks that fall to less than 15 % in the mean of two opposite neighbours, in whichever direction: cosmic
    rays and hot pixels (the idea is SDSS's: Lupton et al. 2001, ASPC 238, 269). A star passes with a FWHM of 1.8 px
    or more. The first 65,536 peaks count.
    """
    row, column = np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int64)
    height, under = np.empty(_ROOM, np.float32), np.empty(_ROOM, np.float32)
    blocks = np.where(np.isfinite(sky.blocks_e), sky.blocks_e, np.float32(np.inf))
    above = np.float32(sigmas) * np.fmax(np.nan_to_num(sky.noises_e), np.float32(0.5 * sky.sigma_e))
    plane = np.zeros((0, 0), np.uint16) if mask is None else mask
    count = _peaks(sci, plane, refused, blocks, blocks + above, row, column, height, under)
    return Peaks(row[:count], column[:count], height[:count], under[:count])


def isolated(peaks: Peaks, radius_px: float, share: float = 0.1) -> NDArray[np.bool_]:
    """Peaks with no other within a radius that has more than a share of their height."""
    alone = np.ones(peaks.number, np.bool_)
    _lonely(peaks.row, peaks.column, peaks.height_e, radius_px, share, alone)
    return alone


def spread(peaks: Peaks, shape: tuple[int, int], cells: int, each: int) -> NDArray[np.int64]:
    """Indices of the `each` highest peaks in every cell of a grid of `cells` x `cells` over the image."""
    cell = (peaks.row * cells // shape[0]) * cells + peaks.column * cells // shape[1]
    order = np.lexsort((-peaks.height_e, cell))
    ordered = cell[order]
    rank = np.arange(order.size) - np.searchsorted(ordered, ordered, "left")
    return np.sort(order[rank < each])


@kernel
def _peaks(sci: Any, mask: Any, refused: Any, level: Any, threshold: Any, row: Any, column: Any, height: Any,
           under: Any) -> Any:  # fmt: skip
    rows, columns = sci.shape
    high, wide = level.shape
    count = 0
    for y in range(1, rows - 1):
        j = min(y * high // rows, high - 1)
        above, line, below = sci[y - 1], sci[y], sci[y + 1]
        for i in range(wide):
            least = threshold[j, i]
            for x in range(max(1, i * columns // wide), min(columns - 1, (i + 1) * columns // wide)):
                v = line[x]
                highest = v > least and v > line[x - 1] and v >= line[x + 1] and v > above[x] and v >= below[x]
                if highest and count < row.size and _starlike(sci, mask, refused, y, x, level[j, i]):
                    row[count], column[count] = y, x
                    height[count], under[count] = v - level[j, i], level[j, i]
                    count += 1
    return count


@kernel
def _starlike(sci: Any, mask: Any, refused: Any, y: Any, x: Any, level: Any) -> Any:
    v = sci[y, x]
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            # NaN compares false
            if not v >= sci[y + dy, x + dx]:
                return False
            if mask.size > 0 and mask[y + dy, x + dx] & refused != 0:
                return False
    least = np.float32(2 * _SHARPEST) * (v - level)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        if sci[y + dy, x + dx] + sci[y - dy, x - dx] - np.float32(2) * level < least:
            return False
    return True


@kernel
def _lonely(row: Any, column: Any, height: Any, radius: Any, share: Any, alone: Any) -> None:
    for i in range(row.size):
        for k in range(i + 1, row.size):
            dy = row[k] - row[i]
            if dy > radius:
                break
            dx = column[k] - column[i]
            if dx * dx + dy * dy <= radius * radius:
                if height[k] > share * height[i]:
                    alone[i] = False
                if height[i] > share * height[k]:
                    alone[k] = False
