"""What the lossy codecs share: how an image becomes a table and comes back (docs/formats.md section 4.1)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from transfer.durable import PREFIX

DTYPES: Final = {8: ">u1", 16: ">i2", 32: ">i4"}
MIN_SIDE: Final = 8  # images with fewer rows or columns are carried as they are


@dataclass(frozen=True, slots=True)
class Table:
    """The table that stands for an image: its cards, and its data unit without padding."""

    cards: list[bytes]
    data: bytes


class Carrier(Protocol):
    """How a lossy codec carries one image."""

    @property
    def name(self) -> str:
        """Name of the codec."""
        ...

    @property
    def mark(self) -> tuple[str, float, str]:
        """Keyword, value and comment of the codec's parameter in the primary header."""
        ...

    def shrink(self, pixels: np.ndarray, work: Path) -> Table:
        """The table of an image (native integers, at least 8 x 8); `work` may be written. Raises Unsupported."""
        ...

    def owns(self, header: list[bytes]) -> bool:
        """Whether a table's header says that it stands for an image of this codec."""
        ...

    def expand(self, table: Table, bitpix: int, shape: tuple[int, ...], work: Path) -> np.ndarray:
        """The image of a table that nobody has to trust, with exactly that shape and type. Raises Corrupt."""
        ...


@contextlib.contextmanager
def scratch_files(directory: Path, count: int) -> Iterator[tuple[Path, ...]]:
    """Names for temporary files that a rescan or a sweep knows as such; the files are gone afterwards."""
    stem = f"{PREFIX}look-{secrets.token_hex(8)}"
    paths = tuple(directory / f"{stem}-{number}" for number in range(count))
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
