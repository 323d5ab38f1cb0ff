"""The Laplacian that a cosmic ray's sharp edges light up, and the first pass with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from processors.cosmics.floors import BLOCK
from processors.cosmics.frame import COLUMNS, ROWS
from processors.kernels import inlined, kernel


@inlined
def laplacian(value: Any, below: Any, above: Any, left: Any, right: Any) -> Any:
    """L⁺ of a pixel from its neighbours: 2 × 2 subsampled, convolved, negatives set to zero, averaged back.

    van Dokkum 2001, PASP 113, 1420, eqs. 6 to 9, written out: each quarter pixel has two neighbours in its own pixel
    and one in each of the two next to it.
    """
    zero, two = np.float32(0), np.float32(2)
    down, up = two * value - below, two * value - above
    return np.float32(0.25) * (
        max(down - left, zero) + max(down - right, zero) + max(up - left, zero) + max(up - right, zero)
    )


@kernel
def stand_out(image: Any, state: Any, floors: Any, columns: Any, y0: Any, y1: Any) -> Any:
    """Places (flat indices of the image with its border) in rows y0 … y1 - 1 whose Laplacian is above the floor."""
    found = np.empty(4096, np.int64)
    n = 0
    line = np.empty(BLOCK, np.float32)
    for y in range(y0, y1):
        row = y + ROWS
        for bx in range(floors.shape[1]):
            x0, floor = COLUMNS + bx * BLOCK, floors[y // BLOCK, bx]
            width = min(BLOCK, columns - bx * BLOCK)
            C, A, B = image[row, x0:], image[row - 1, x0:], image[row + 1, x0:]
            L, R = image[row, x0 - 1 :], image[row, x0 + 1 :]
            above = 0
            for x in range(width):
                line[x] = laplacian(C[x], A[x], B[x], L[x], R[x])
                above += line[x] > floor
            if above == 0:
                continue
            if n + above > found.size:
                found = np.concatenate((found, np.empty(found.size + above, np.int64)))
            for x in range(width):
                if line[x] > floor and state[row, x0 + x] == 0:
                    found[n] = row * image.shape[1] + x0 + x
                    n += 1
    return found[:n]


@kernel
def still_stand_out(image: Any, floors: Any, places: Any) -> Any:
    """Those of the places whose Laplacian is above the floor."""
    found = np.empty(places.size, np.int64)
    n = 0
    for place in places:
        y, x = place // image.shape[1], place % image.shape[1]
        value = laplacian(image[y, x], image[y - 1, x], image[y + 1, x], image[y, x - 1], image[y, x + 1])
        if value > floors[(y - ROWS) // BLOCK, (x - COLUMNS) // BLOCK]:
            found[n] = place
            n += 1
    return found[:n]
