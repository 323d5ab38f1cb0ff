"""Median of the good pixels around a place."""

from __future__ import annotations

from typing import Any

import numpy as np

from processors.kernels import kernel

RADII = (2, 4, 6)  # looked in one after the other, until there is a good pixel


@kernel
def good_median(image: Any, mask: Any, avoid: Any, y: Any, x: Any) -> Any:
    """Median of the finite pixels without a bit of `avoid` in 5 × 5, or else 9 × 9, or else 13 × 13; -inf without any.

    image (rows, columns) float32; mask (rows, columns), or (1, columns) for all rows alike.
    """
    rows, columns = image.shape
    values = np.empty(169, np.float32)
    for radius in RADII:
        n = 0
        for v in range(max(y - radius, 0), min(y + radius + 1, rows)):
            w = min(v, mask.shape[0] - 1)
            for u in range(max(x - radius, 0), min(x + radius + 1, columns)):
                if (mask[w, u] & avoid) == 0 and abs(image[v, u]) < np.float32(np.inf):
                    values[n] = image[v, u]
                    n += 1
        if n > 0:
            return middle(values, n)
    return np.float32(-np.inf)


@kernel
def buried(mask: Any, avoid: Any, y: Any, deep: Any) -> None:
    """Set `deep` (columns,) uint8 to 1 where `good_median` finds nothing in row y, faster if there is much of it."""
    reach = RADII[-1]
    rows, columns = mask.shape
    line = np.ones(columns, np.uint8)
    for v in range(max(y - reach, 0), min(y + reach + 1, rows)):
        M = mask[v]
        for x in range(columns):
            line[x] &= np.uint8((M[x] & avoid) != 0)
    run = reach  # columns to the left of the frame
    for u in range(columns + reach):
        run = run + 1 if u >= columns or line[u] != 0 else 0
        if u >= reach:
            deep[u - reach] = np.uint8(run > 2 * reach)


@kernel
def middle(values: Any, n: Any) -> Any:
    """Median of values[:n], which is sorted on the way."""
    for i in range(1, n):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    if n % 2 == 1:
        return values[n // 2]
    return np.float32(0.5) * (values[n // 2 - 1] + values[n // 2])
