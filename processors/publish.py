"""What every writer of FITS files needs: a file that appears whole or not at all, and a header with its sums."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from processors.card_text import Card, format_card
from processors.checksum import encode, sum32
from processors.direct import DirectWriter
from processors.header import BLOCK


class Writer(Protocol):
    """Takes bytes, all of them."""

    def write(self, data: bytes, /) -> int: ...


@contextmanager
def publish(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file that takes its name when all of it is on the disk: temporary name, fsync, rename, fsync of directory.

    An error in the body leaves nothing behind, and what had the name before as it was.

    Raises
    ------
    OSError
        Disk full, no permission, …
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def publish_large(path: Path | str) -> Iterator[Writer]:
    """The same for many megabytes: they go past the page cache, where the file system can do that.

    What is to be on the disk anyway gets there several times faster so, and other threads can work meanwhile.
    """
    with publish(path) as file:
        direct = DirectWriter.on(Path(file.name), file)
        yield direct or file
        if direct is not None:
            direct.finish()


def header_block(cards: Sequence[Card], datasum: int) -> bytes:
    """Header of an HDU with CHECKSUM and DATASUM, its data having the sum `datasum` (ValueError for a NaN in a card).

    CHECKSUM is computed over header and data with the card at '0' * 16 (FITS Standard 4.0, section 4.4.2.7).
    """
    text = "".join(format_card(*card) for card in cards)
    text += format_card("CHECKSUM", "0" * 16) + format_card("DATASUM", f"{datasum}") + f"{'END':<80}"
    text += " " * (-len(text) % BLOCK)
    checksum = encode(sum32(text.encode("ascii"), datasum))
    return text.replace(f"CHECKSUM= '{'0' * 16}'", f"CHECKSUM= '{checksum}'", 1).encode("ascii")
