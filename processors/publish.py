"""What every writer of products needs: a file that appears whole or not at all, and a FITS header with its sums."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from processors.card_text import Card, format_card
from processors.checksum import encode, sum32
from processors.direct import DirectWriter
from processors.header import BLOCK

# Of the whole process, as a file may be written by any of its threads; empty where nobody else writes the same files.
_QUESTIONS: Final[list[Callable[[], None]]] = []


class Writer(Protocol):
    """Takes bytes, all of them."""

    def write(self, data: bytes, /) -> int: ...


@contextmanager
def asking(may_go_on: Callable[[], None]) -> Iterator[None]:
    """Inside, `may_go_on` is called right before a file of this process takes its name, and before one is withdrawn.

    What it raises comes out of `publish` and `withdraw`; the name keeps what it had, and nothing is left behind.
    """
    _QUESTIONS.append(may_go_on)
    try:
        yield
    finally:
        _QUESTIONS.remove(may_go_on)


def ask() -> None:
    """Put the questions of `asking`."""
    for may_go_on in _QUESTIONS:
        may_go_on()


@contextmanager
def publish(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file that takes its name when all of it is on the disk: temporary name, fsync, rename, fsync of directory.

    An error in the body leaves nothing behind, and what had the name before as it was; so does one of `asking`.

    Raises
    ------
    OSError
        Disk full, no permission, …
    """
    path = Path(path)
    # no other's name, also where two hosts (or containers, with the same process ids) write into one directory
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        ask()  # last of all: what came before may have taken its time
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _fsync(path.parent)


def withdraw(path: Path | str) -> None:
    """Remove what was published before, durably; nothing happens when it is gone (OSError: no permission, …)."""
    path = Path(path)
    if path.exists():
        ask()
        path.unlink(missing_ok=True)
        _fsync(path.parent)


def _fsync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
