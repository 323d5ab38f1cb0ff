"""The inverse of `rice_encode`, for streams that nobody has to trust."""

from __future__ import annotations

from typing import Any

import numpy as np

from transfer.codecs.rice_bits import leading_zeros, load_word, swapped, unfolded
from transfer.codecs.rice_encode import BLOCKSIZE, HEAD_BITS, PLAIN
from transfer.jit import kernel

# Between two looks at the end of a row's bytes a block is read; a number moves the reader by at most 11 bytes.
SLACK = 16 * (BLOCKSIZE + 2)


def least(width: int, pixel: int) -> int:
    """Smallest number of bytes that a row of `width` pixels of `pixel` bytes can come from."""
    return pixel + (-(-width // BLOCKSIZE) * HEAD_BITS[pixel] + 7) // 8


def decode_rows(stream: np.ndarray, starts: np.ndarray, ends: np.ndarray, z: np.ndarray, image: np.ndarray) -> bool:
    """Restore rows of pixels; False when a row's bytes are not what the encoder writes for so many pixels.

    Parameters
    ----------
    stream
        uint8; SLACK bytes of any content follow the last row.
    starts, ends
        int64, shape (rows,): each row's bytes; the caller has made sure that they lie in the stream, and that there
        are at least `least` of them.
    z
        Scratch for a row, `image`'s dtype.
    image
        Filled with the pixels, shape (rows, width): big-endian in native unsigned integers of 1, 2 or 4 bytes.
    """
    pixel = image.itemsize
    return bool(_rows(stream, starts, ends, (8 * pixel, HEAD_BITS[pixel], PLAIN[pixel]), z, image))


@kernel
def _fill(stream: np.ndarray, at: int, word: Any, held: int) -> tuple[int, Any, int]:
    """Fill `word`, of which the upper `held` (0 to 63) bits are valid, to at least 56 bits from `stream[at:]`."""
    word |= load_word(stream, at) >> np.uint64(held)
    return at + ((63 - held) >> 3), word, held | 56


@kernel
def _block(
    stream: np.ndarray, at: int, end: int, word: Any, held: int, split: int, block: np.ndarray
) -> tuple[int, Any, int]:
    """Read the numbers of a block that is written with a split; `at` is -1 when a unary part runs past `end`."""
    for j in range(block.shape[0]):
        if held < 32:
            at, word, held = _fill(stream, at, word, held)
        top = leading_zeros(word)
        if top + split + 1 > held:  # a bright pixel
            zeros = 0
            while leading_zeros(word) >= held:
                zeros += held
                at, word, held = _fill(stream, at, np.uint64(0), 0)
                if at > end + 8:
                    return -1, word, held
            top = leading_zeros(word)
            word = (word << np.uint64(top)) << np.uint64(1)
            at, word, held = _fill(stream, at, word, held - top - 1)
            top += zeros
        else:
            word = (word << np.uint64(top)) << np.uint64(1)
            held -= top + 1
        low = (word >> np.uint64(1)) >> np.uint64(63 - split)
        word <<= np.uint64(split)
        held -= split
        block[j] = (np.uint64(top) << np.uint64(split)) | low
    return at, word, held


@kernel
def _row(stream: np.ndarray, at: int, end: int, limits: tuple[int, int, int], z: np.ndarray) -> bool:
    bits, head, plain = limits
    word, held = np.uint64(0), 0
    for start in range(0, z.shape[0], BLOCKSIZE):
        block = z[start : start + BLOCKSIZE]
        at, word, held = _fill(stream, at, word, held)
        split = int(np.int64(word >> np.uint64(64 - head))) - 1
        word <<= np.uint64(head)
        held -= head
        if split < 0:
            block[:] = 0
        elif split < plain:
            at, word, held = _block(stream, at, end, word, held, split, block)
        elif split == plain:
            for j in range(block.shape[0]):
                at, word, held = _fill(stream, at, word, held)
                block[j] = word >> np.uint64(64 - bits)
                word <<= np.uint64(bits)
                held -= bits
        else:
            return False
        if at < 0 or 8 * (end - at) + held < 0:
            return False
    return True


@kernel
def _rows(
    stream: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    limits: tuple[int, int, int],
    z: np.ndarray,
    image: np.ndarray,
) -> bool:
    rows, width = image.shape
    pixel = limits[0] // 8
    for r in range(rows):
        if not _row(stream, starts[r] + pixel, ends[r], limits, z):
            return False
        value = image.dtype.type(load_word(stream, starts[r]) >> np.uint64(64 - limits[0]))
        row = image[r]
        for x in range(width):
            value = image.dtype.type(value + unfolded(z[x]))
            row[x] = swapped(value)
    return True
