"""Sorting networks: which places to compare and exchange, one after the other, to sort any sequence of a length."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=16)
def comparators(length: int) -> NDArray[np.int32]:
    """Pairs of places (n, 2) of Batcher's odd-even merge sort: the smaller value goes to the first place.

    Source: Batcher (1968), *Sorting networks and their applications*; for any length as in Knuth, *The Art of Computer
    Programming* 3, section 5.2.2, algorithm M.
    """
    pairs: list[tuple[int, int]] = []
    merged = 1
    while merged < length:
        step = merged
        while step >= 1:
            for start in range(step % merged, length - step, 2 * step):
                for place in range(start, min(start + step, length - step)):
                    if place // (2 * merged) == (place + step) // (2 * merged):
                        pairs.append((place, place + step))
            step //= 2
        merged *= 2
    return np.array(pairs, np.int32).reshape(-1, 2)
