"""The kernel of the FITS DATASUM; import it late, it brings numba."""

from __future__ import annotations

import numpy as np

from transfer.jit import kernel


@kernel
def sum_words(words: np.ndarray) -> int:
    """Ones' complement sum of big-endian 32-bit words that were loaded on a little-endian machine."""
    total = np.uint64(0)
    for i in range(words.shape[0]):
        word = words[i]
        # Each word is swapped: end-around carries of a sum of unswapped words would land in the wrong byte.
        swapped = (word << 24) | ((word & 0xFF00) << 8) | ((word >> 8) & 0xFF00) | (word >> 24)
        total += np.uint64(np.uint32(swapped))
    while total >> np.uint64(32):
        total = (total & np.uint64(0xFFFFFFFF)) + (total >> np.uint64(32))
    return total  # type: ignore[return-value]
