"""Pixels around a saturated star: cut off at the top, its flanks look as steep as a cosmic ray."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processors.cosmics.frame import AVOID, COLUMNS, ROWS
from processors.cosmics.medians import median5
from processors.kernels import inlined, kernel
from processors.planes import Mask

SATURATION: Final = int(Mask.SATURATED | Mask.BLEED)
REACH: Final = 4  # pixels in rows and columns; as astroscrappy, which grows its mask by 5 × 5 twice
_LEAST: Final = 0.1  # of a saturated pixel's value: the 5 × 5 median around it when it belongs to a star


@kernel
def avoid_halos(image: Any, mask: Any, avoid: Any, state: Any, y0: Any, y1: Any) -> None:
    """Mark as not to be touched, in rows y0 … y1 - 1, what is at most REACH pixels from a saturated star.

    A star is a pixel with a bit of SATURATION that is also in `avoid`, and whose 5 × 5 median is above a tenth of it;
    around a cosmic ray that saturates, or a bleed trail of one column, the median is that of the sky.
    """
    rows, columns = mask.shape
    bits = np.uint16(avoid & SATURATION)
    least = np.float32(_LEAST)
    for y in range(max(y0 - REACH, 0), min(y1 + REACH, rows)):
        M = mask[y]
        any_bit = np.uint16(0)
        for x in range(columns):
            any_bit |= M[x] & bits
        if any_bit == 0:
            continue
        for x in range(columns):
            if (M[x] & bits) == 0 or not _median(image, y, x) > least * image[y + ROWS, x + COLUMNS]:
                continue
            for v in range(max(y - REACH, y0), min(y + REACH + 1, y1)):
                for u in range(max(x - REACH, 0), min(x + REACH + 1, columns)):
                    state[v + ROWS, u + COLUMNS] = AVOID


@inlined
def _median(image: Any, y: Any, x: Any) -> Any:
    """5 × 5 median at a pixel of the frame, first along the columns, then along the row."""
    v, u = y + ROWS, x + COLUMNS - 2
    A, B, C, D, E = image[v - 2, u:], image[v - 1, u:], image[v, u:], image[v + 1, u:], image[v + 2, u:]
    return median5(
        median5(A[0], B[0], C[0], D[0], E[0]),
        median5(A[1], B[1], C[1], D[1], E[1]),
        median5(A[2], B[2], C[2], D[2], E[2]),
        median5(A[3], B[3], C[3], D[3], E[3]),
        median5(A[4], B[4], C[4], D[4], E[4]),
    )
