"""DATASUM and CHECKSUM (FITS Standard 4.0, section 4.4.2.7 and appendix J)."""

from __future__ import annotations

import numpy as np

_EXCLUDED = frozenset(b":;<=>?@[\\]^_`")


def sum32(data: bytes | memoryview, start: int = 0) -> int:
    """Ones'-complement sum of big-endian 32-bit words, on top of `start`; the length must be a multiple of 4."""
    total = start
    words = np.frombuffer(data, dtype=">u4")
    for first in range(0, words.size, 1 << 24):
        total += int(words[first : first + (1 << 24)].sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def encode(total: int) -> str:
    """The 16 characters of a CHECKSUM card that make the HDU's sum come out as all ones, given its sum without them."""
    value = 0xFFFFFFFF - total
    letters = [0] * 16
    for byte in range(4):
        quotient, remainder = divmod((value >> (24 - 8 * byte)) & 0xFF, 4)
        four = [quotient + 48 + remainder, quotient + 48, quotient + 48, quotient + 48]
        while any(letter in _EXCLUDED for letter in four):
            for pair in (0, 2):
                if four[pair] in _EXCLUDED or four[pair + 1] in _EXCLUDED:
                    four[pair] += 1
                    four[pair + 1] -= 1
        for place, letter in enumerate(four):
            letters[4 * place + byte] = letter
    return "".join(chr(letter) for letter in letters[-1:] + letters[:-1])
