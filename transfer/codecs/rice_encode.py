"""Rice coding of rows of pixels, byte for byte as cfitsio's `fits_rcomp*` do it (ricecomp.c; FITS 4.0, section 10.4.1).

Differences of neighbours are folded to unsigned numbers; each block of 32 chooses the number of low bits that are
written as they are (its split), the rest is written in unary. A block that this would not shrink is written plainly, so
that a row never grows by more than the heads of its blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from transfer.codecs.rice_bits import folded, leading_zeros, store_word, swapped
from transfer.jit import kernel

BLOCKSIZE: Final = 32
# By the bytes of a pixel:
UNSIGNED: Final = {1: np.uint8, 2: np.uint16, 4: np.uint32}
HEAD_BITS: Final = {1: 3, 2: 4, 4: 5}  # of the number before each block: its split and 1, or 0 when all is 0
PLAIN: Final = {1: 6, 2: 14, 4: 25}  # split from which on a block is written plainly
PAIR: Final = {1: 16, 2: 16, 4: 28}  # bits up to which two codes fit the words they are joined in
QUAD: Final = 14  # bits up to which four codes can be appended at once
RUN: Final = 24  # zeros that are appended at once
SLACK: Final = 8  # words are stored whole, and reach up to that many bytes behind the last bit


@dataclass(frozen=True, slots=True)
class Workspace:
    """Scratch arrays for rows of one width and pixel size."""

    z: np.ndarray
    pairs: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, width: int, pixel: int) -> Workspace:
        """For rows of `width` pixels of `pixel` bytes."""
        lane = np.uint64 if pixel == 4 else np.uint32
        half = BLOCKSIZE // 2
        z = np.empty(-(-width // BLOCKSIZE) * BLOCKSIZE, UNSIGNED[pixel])
        return cls(z, np.empty(half, lane), np.empty(half, lane))


def bound(width: int, pixel: int) -> int:
    """Largest number of bytes that a row of `width` pixels of `pixel` bytes takes."""
    blocks = -(-width // BLOCKSIZE)
    return pixel + (blocks * HEAD_BITS[pixel] + 8 * pixel * width + 7) // 8


def encode_rows(image: np.ndarray, work: Workspace, out: np.ndarray, at: int, ends: np.ndarray) -> int:
    """Code whole rows into `out[at:]`; returns the offset behind the last one.

    Parameters
    ----------
    image
        Pixels as they lie in the file: big-endian bytes seen as native unsigned integers of 1, 2 or 4 bytes,
        shape (rows, width), C-contiguous.
    out
        uint8, with room for `bound` bytes per row and SLACK more.
    ends
        int64, shape (rows,): filled with the offset behind each row.
    """
    pixel = image.itemsize
    limits = 8 * pixel, HEAD_BITS[pixel], PLAIN[pixel], PAIR[pixel]
    return int(_rows(image, limits, work.z, work.pairs, work.lengths, out, at, ends))


@kernel
def _fold(row: np.ndarray, z: np.ndarray) -> None:
    """Differences to the pixel before, folded; zeros fill the last block."""
    width = row.shape[0]
    z[0] = 0
    for x in range(width - 1):
        z[x + 1] = folded(row.dtype.type(swapped(row[x + 1]) - swapped(row[x])))
    for x in range(width, z.shape[0]):
        z[x] = 0


@kernel
def _put(out: np.ndarray, at: int, word: Any, used: int, code: Any, length: Any) -> tuple[int, Any, int]:
    """Append `length` (1 to 56) bits to the `used` ones (0 to 7) on top of `word`; whole bytes go to `out[at:]`."""
    word |= np.uint64(code) << np.uint64(64 - used - length)
    used += length
    store_word(out, at, word)
    return at + (used >> 3), word << np.uint64(used & ~7), used & 7


@kernel
def _join(block: np.ndarray, split: int, pairs: np.ndarray, lengths: np.ndarray) -> int:
    """Code a whole block, two codes to a word; returns a number that is at least the longest unary part.

    The words are as wide as `pairs`; the caller looks at what is returned before it believes them.
    """
    lane = pairs.dtype.type
    low, one = lane(split), lane(1)
    flag = lane(one << low)
    mask = lane(flag - one)
    worst = lane(0)
    for j in range(BLOCKSIZE // 2):
        a, b = lane(block[2 * j]), lane(block[2 * j + 1])
        top, bottom = lane(a >> low), lane(b >> low)
        length = lane(bottom + low + one)
        pairs[j] = lane(lane((a & mask) | flag) << length) | lane((b & mask) | flag)
        lengths[j] = lane(top + low + one + length)
        worst |= lane(top | bottom)
    return np.int64(worst)  # type: ignore[return-value]


@kernel
def _singly(
    block: np.ndarray, count: int, split: int, out: np.ndarray, at: int, word: Any, used: int
) -> tuple[int, Any, int]:
    """Write the codes of a block one by one: beside a bright pixel, and at the end of a row."""
    one = np.uint64(1) << np.uint64(split)
    for j in range(count):
        value = np.uint64(block[j])
        top = np.int64(value >> np.uint64(split))
        while top > RUN:
            at, word, used = _put(out, at, word, used, 0, RUN)
            top -= RUN
        at, word, used = _put(out, at, word, used, (value & (one - np.uint64(1))) | one, top + split + 1)
    return at, word, used


@kernel
def _split_for(block: np.ndarray, count: int) -> int:
    """Low bits of each of the block's `count` numbers to write as they are; -1 when all are 0."""
    total: Any = np.int64(0)
    for j in range(BLOCKSIZE):
        total += np.int64(block[j])
    if total == 0:
        return -1
    above = max(total - (count >> 1) - 1, 0)
    mean = above // BLOCKSIZE if count == BLOCKSIZE else above // count  # a shift, and a division of 20 cycles
    return 64 - int(leading_zeros(np.uint64(mean >> 1)))


@kernel
def _row(
    z: np.ndarray, width: int, first: int, limits: tuple[int, int, int, int], pairs: np.ndarray, lengths: np.ndarray,
    out: np.ndarray, at: int,
) -> int:  # fmt: skip
    """Write a row of folded differences behind its `first` pixel; a call per block would cost a fifth."""
    bits, head, plain, limit = limits
    at, word, used = _put(out, at, np.uint64(0), 0, first, bits)
    for start in range(0, width, BLOCKSIZE):
        count = min(BLOCKSIZE, width - start)
        block = z[start : start + BLOCKSIZE]
        split = min(_split_for(block, count), plain)
        at, word, used = _put(out, at, word, used, split + 1, head)
        if split < 0:
            continue
        if split == plain:
            for j in range(count):
                at, word, used = _put(out, at, word, used, block[j], bits)
            continue
        longest = _join(block, split, pairs, lengths) + split + 1
        if longest <= QUAD and count == BLOCKSIZE:
            for j in range(BLOCKSIZE // 4):
                shift = np.uint64(lengths[2 * j + 1])
                code = (np.uint64(pairs[2 * j]) << shift) | np.uint64(pairs[2 * j + 1])
                at, word, used = _put(out, at, word, used, code, np.int64(lengths[2 * j]) + np.int64(shift))
        elif longest <= limit and count == BLOCKSIZE:
            for j in range(BLOCKSIZE // 2):
                at, word, used = _put(out, at, word, used, pairs[j], np.int64(lengths[j]))
        else:
            at, word, used = _singly(block, count, split, out, at, word, used)
    return at + (used > 0)


@kernel
def _rows(
    image: np.ndarray, limits: tuple[int, int, int, int], z: np.ndarray, pairs: np.ndarray, lengths: np.ndarray,
    out: np.ndarray, at: int, ends: np.ndarray,
) -> int:  # fmt: skip
    rows, width = image.shape
    for r in range(rows):
        _fold(image[r], z)
        at = _row(z, width, swapped(image[r, 0]), limits, pairs, lengths, out, at)
        ends[r] = at
    return at
