"""The table that a Rice-compressed image is: per tile the length and place of its bytes, and the heap of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from transfer.cards import card_int, card_text
from transfer.codecs import rice_headers
from transfer.codecs.rice_decode import SLACK as READ_SLACK
from transfer.codecs.rice_decode import decode_rows, least
from transfer.codecs.rice_encode import BLOCKSIZE, SLACK, UNSIGNED, Workspace, bound, encode_rows
from transfer.errors import Corrupt
from transfer.structure import HduSpan

DESCRIPTOR: Final = 8  # bytes of a row: length and offset
MAX_HEAP: Final = (1 << 31) - 1  # what offsets of 32 bits reach
MAX_AXES: Final = 6  # that cfitsio can read
STRIPE: Final = 256 << 10  # bytes of pixels at a time: they stay in the cache from reading to coding
_FORM: Final = re.compile(r"1?PB(\([0-9]*\))?\Z")


def largest_heap(span: HduSpan) -> int:
    """Bytes that an integer image takes at most."""
    return span.data_size // span.shape[-1] // (span.bitpix // 8) * bound(span.shape[-1], span.bitpix // 8)


class Packing:
    """An image on its way into a table: rows are added in order, then cards and data are taken.

    The heap is kept in memory, since the header in front of it says how large it is.
    """

    def __init__(self, span: HduSpan) -> None:
        self._shape, self._pixel = span.shape, span.bitpix // 8
        self._ends = np.empty(math.prod(span.shape[:-1]), np.int64)
        self._heap = np.empty(largest_heap(span) + SLACK, np.uint8)
        self._work = Workspace.of(span.shape[-1], self._pixel)
        self._rows = self._size = 0

    def add(self, pixels: np.ndarray) -> None:
        """Code whole rows, given as they lie in the file (uint8)."""
        image = pixels.view(UNSIGNED[self._pixel]).reshape(-1, self._shape[-1])
        ends = self._ends[self._rows : self._rows + len(image)]
        self._size = encode_rows(image, self._work, self._heap, self._size, ends)
        self._rows += len(image)

    def cards(self) -> list[bytes]:
        """The table's own cards."""
        longest = int(np.diff(self._ends, prepend=0).max())
        return rice_headers.table(self._shape, self._pixel, self._rows, self._size, longest)

    def data(self) -> tuple[bytes, memoryview]:
        """Descriptors and heap, without padding."""
        starts = np.concatenate([[0], self._ends[:-1]])
        return np.stack([self._ends - starts, starts], axis=1).astype(">i4").tobytes(), self._heap[: self._size].data


@dataclass(frozen=True, slots=True)
class Announced:
    """What a compressed image says of itself: `shape` slowest axis first, `pixel` bytes per pixel."""

    shape: tuple[int, ...]
    pixel: int

    @property
    def length(self) -> int:
        """Bytes of pixels."""
        return math.prod(self.shape) * self.pixel


def announced(cards: Sequence[bytes], span: HduSpan) -> Announced:
    """Read what a table restores to; Corrupt when it is none that this codec writes."""
    naxis = card_int(cards, b"ZNAXIS") or 0
    axes = [card_int(cards, b"ZNAXIS%d" % (axis + 1)) or 0 for axis in range(min(naxis, MAX_AXES))]
    bitpix = card_int(cards, b"ZBITPIX")
    if bitpix not in {8, 16, 32} or not 1 <= naxis <= MAX_AXES or min(axes) < 1:
        raise Corrupt("a compressed image does not say what it restores to")
    pixel, rows = bitpix // 8, math.prod(axes[1:])
    tiles = [card_int(cards, b"ZTILE%d" % (axis + 1)) for axis in range(naxis)]
    pairs = [(card_text(cards, b"ZNAME%d" % number), card_int(cards, b"ZVAL%d" % number)) for number in (1, 2, 3)]
    if (
        (card_text(cards, b"ZCMPTYPE"), pairs) != ("RICE_1", [("BLOCKSIZE", BLOCKSIZE), ("BYTEPIX", pixel), ("", None)])
        or tiles != [axes[0], *([1] * (naxis - 1))]
        or (card_int(cards, b"TFIELDS"), card_text(cards, b"TTYPE1")) != (1, "COMPRESSED_DATA")
        or not _FORM.match(card_text(cards, b"TFORM1"))
        or (span.shape, span.bitpix) != ((rows, DESCRIPTOR), 8)
        or span.data_size < rows * DESCRIPTOR
        or card_int(cards, b"THEAP") not in {None, rows * DESCRIPTOR}
    ):
        raise Corrupt("a compressed image is not one of Rice-coded rows")
    return Announced(tuple(reversed(axes)), pixel)


def room(span: HduSpan) -> np.ndarray:
    """Where to read a table's data unit (`data_size` bytes) for `restored`."""
    return np.empty(span.data_size + READ_SLACK, np.uint8)


def restored(image: Announced, data: np.ndarray) -> Iterator[memoryview]:
    """Pixels of a table as they lay in the file, some rows at a time; each piece is valid until the next is asked for.

    Parameters
    ----------
    data
        The data unit in `room`.

    Raises
    ------
    Corrupt
        A row's bytes lie elsewhere, or are not what the encoder writes.
    """
    width, rows = image.shape[-1], math.prod(image.shape[:-1])
    heap = data.size - READ_SLACK - rows * DESCRIPTOR
    stream = data[rows * DESCRIPTOR :]
    lengths, starts = data[: rows * DESCRIPTOR].view(">i4").astype(np.int64).reshape(-1, 2).T.copy()
    ends = starts + lengths
    if lengths.min() < least(width, image.pixel) or starts.min() < 0 or ends.max() > heap:
        raise Corrupt("a compressed image has rows outside of its heap")
    step = min(rows, max(1, STRIPE // (width * image.pixel)))
    pixels = np.empty((step, width), UNSIGNED[image.pixel])
    z = np.empty(width, pixels.dtype)
    for first in range(0, rows, step):
        part = pixels[: min(step, rows - first)]
        if not decode_rows(stream, starts[first : first + step], ends[first : first + step], z, part):
            raise Corrupt("a compressed image has rows that are not whole Rice code")
        yield part.reshape(-1).view(np.uint8).data
