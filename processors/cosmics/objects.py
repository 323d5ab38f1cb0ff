"""Cosmic pixels gathered into objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from processors.cosmics.frame import COSMIC, QUEUED
from processors.kernels import kernel


@kernel
def objects(state: Any, places: Any) -> Any:
    """The places ordered by object (touching by a side or a corner), and where each object begins in that order.

    `places`: flat indices (int64) of all pixels with the bit COSMIC in `state`. The second array has one more entry
    than there are objects: object i is order[starts[i] : starts[i + 1]]. `state` is left as it was.
    """
    width = state.shape[1]
    order, starts = np.empty(places.size, np.int64), np.empty(places.size + 1, np.int64)
    n, count = 0, 0
    for first in places:
        if (state[first // width, first % width] & QUEUED) != 0:
            continue
        starts[count] = n
        count += 1
        state[first // width, first % width] |= QUEUED
        order[n] = first
        looked, n = n, n + 1
        while looked < n:
            y, x = order[looked] // width, order[looked] % width
            looked += 1
            for v in range(y - 1, y + 2):
                for u in range(x - 1, x + 2):
                    if (state[v, u] & (COSMIC | QUEUED)) == COSMIC:
                        state[v, u] |= QUEUED
                        order[n] = v * width + u
                        n += 1
    starts[count] = n
    for i in range(n):
        state[order[i] // width, order[i] % width] &= ~np.uint8(QUEUED)
    return order[:n], starts[: count + 1]
