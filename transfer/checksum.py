"""FITS DATASUM at memory speed, and SHA-256 in the same pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transfer.structure import FitsLayout

CHUNK = 4 << 20


class Datasum:
    """The FITS DATASUM (FITS 4.0, appendix J) of a data unit that arrives in pieces of any length."""

    def __init__(self) -> None:
        self._total = 0
        self._length = 0

    def update(self, data: bytes | memoryview | np.ndarray) -> None:
        """Add the next piece (any contiguous bytes)."""
        array = np.frombuffer(data, np.uint8)
        before = -self._length % 4
        self._length += array.size
        if before:
            self._loose(array[:before], 4 - before)
        whole = array[before:]
        even = whole.size & ~3
        if even:
            from transfer.datasum import sum_words  # late: it brings numba, and most users only hash

            self._add(int(sum_words(whole[:even].view("<u4"))))
        self._loose(whole[even:], 0)

    @property
    def value(self) -> int:
        """The sum so far, 0 to 2**32 - 1; a last word that is not complete counts as filled with zeros."""
        return self._total

    def _loose(self, part: np.ndarray, position: int) -> None:
        if part.size:
            self._add(int.from_bytes(bytes(position) + part.tobytes() + bytes(4 - position - part.size), "big"))

    def _add(self, value: int) -> None:
        total = self._total + value
        self._total = (total & 0xFFFFFFFF) + (total >> 32)


def datasum(data: bytes | memoryview | np.ndarray) -> int:
    """DATASUM of a whole data unit, padding included; 0 for an empty one."""
    result = Datasum()
    result.update(data)
    return result.value


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, as lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Meter:
    """One pass over a file's bytes in order: its size, its SHA-256, and the DATASUM of every HDU of a known layout.

    Parameters
    ----------
    layout
        Where the data units lie; None when the file is not FITS (then there are no datasums).
    """

    def __init__(self, layout: FitsLayout | None) -> None:
        self._hash = hashlib.sha256()
        self._spans = layout.hdus if layout else ()
        self._sums = [Datasum() for _ in self._spans]
        self._next = 0
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        view: Any = memoryview(data)
        self._hash.update(view)
        start, self.size = self.size, self.size + len(view)
        while self._next < len(self._spans):
            span = self._spans[self._next]
            low, high = max(start, span.data_offset), min(self.size, span.end_offset)
            if low < high:
                self._sums[self._next].update(view[low - start : high - start])
            if self.size < span.end_offset:
                return
            self._next += 1

    @property
    def sha256(self) -> str:
        """SHA-256 so far, lower-case hexadecimal."""
        return self._hash.hexdigest()

    @property
    def datasums(self) -> tuple[int, ...]:
        """DATASUM of each HDU so far."""
        return tuple(each.value for each in self._sums)


def measure(path: Path, layout: FitsLayout | None, on_bytes: Callable[[int], None] | None = None) -> Meter:
    """Read a file once for its size, SHA-256 and datasums; `on_bytes` is told of the bytes as they are read."""
    meter = Meter(layout)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            meter.update(chunk)
            if on_bytes:
                on_bytes(len(chunk))
    return meter
