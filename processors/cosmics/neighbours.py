"""Pixels near those that have changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from processors.cosmics.frame import QUEUED
from processors.kernels import kernel


@kernel
def neighbours(state: Any, places: Any, reach: Any) -> Any:
    """Places at most `reach` pixels from any of `places` in rows and columns, each once, that no bit excludes.

    The border of the state plane is excluded, so nothing outside the frame is found. `state` is left as it was.
    """
    width = state.shape[1]
    found = np.empty(4096, np.int64)
    most = (2 * reach + 1) ** 2
    n = 0
    for place in places:
        if n + most > found.size:
            found = np.concatenate((found, np.empty(found.size + most, np.int64)))
        y, x = place // width, place % width
        for v in range(y - reach, y + reach + 1):
            for u in range(x - reach, x + reach + 1):
                if state[v, u] == 0:
                    state[v, u] = QUEUED
                    found[n] = v * width + u
                    n += 1
    for i in range(n):
        state[found[i] // width, found[i] % width] = 0
    return found[:n]
