"""A lower bound of the noise, block by block: it lets one pass over the frame leave out almost every pixel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processors.cosmics.frame import BAND, COLUMNS, LEAST_LEVEL, ROWS
from processors.cosmics.medians import median3
from processors.kernels import kernel

BLOCK: Final = BAND  # pixels a side
_STEP: Final = 4  # rows; a dark strip wide enough to rule a 7 × 7 median is met by one of them


@kernel
def laplacian_floors(
    level: Any, noise2: Any, threshold: Any, rows: Any, columns: Any, floors: Any, y0: Any, y1: Any
) -> None:
    """Fill the floors of the blocks in rows y0 … y1 - 1: no pixel of a block below it can reach `threshold` σ.

    The noise comes from the lowest 3 × 3 median of the block, in each fourth row; the 7 × 7 medians that decide later
    are not below it. `floors` (block rows, block columns) float32, in the units of `laplacian`: twice the noise, times
    the threshold.
    """
    line = np.empty(columns + 2, np.float32)
    P, Q, R = line, line[1:], line[2:]
    for by in range(y0 // BLOCK, (y1 + BLOCK - 1) // BLOCK):
        floors[by] = np.float32(np.inf)
        for y in range(by * BLOCK, min(by * BLOCK + BLOCK, rows), _STEP):
            row = y + ROWS
            A, B, C = level[row - 1, COLUMNS - 1 :], level[row, COLUMNS - 1 :], level[row + 1, COLUMNS - 1 :]
            for x in range(columns + 2):
                line[x] = median3(A[x], B[x], C[x])
            for bx in range(floors.shape[1]):
                lowest = floors[by, bx]
                for x in range(bx * BLOCK, min(bx * BLOCK + BLOCK, columns)):
                    lowest = min(lowest, median3(P[x], Q[x], R[x]))
                floors[by, bx] = lowest
        for bx in range(floors.shape[1]):
            variance = max(floors[by, bx], LEAST_LEVEL) + noise2
            floors[by, bx] = np.float32(2) * threshold * np.sqrt(variance)
