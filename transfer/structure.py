"""Where the HDUs of a FITS file lie, from its bytes alone: is the file whole, and what is in it?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from transfer.cards import card_int, card_logical, card_text, value_of
from transfer.errors import Incomplete, NotFits
from transfer.gzipped import check_gzip

BLOCK: Final = 2880
CARD: Final = 80
MAX_HEADER_BLOCKS: Final = 8192  # 290,000 cards; real cameras stay below 2,000
MAX_HDUS: Final = 100_000
MAX_DATA: Final = 1 << 50  # 1 PiB: beyond this the header is nonsense, not a large file
MAX_AXES: Final = 999
BITPIX: Final = (8, 16, 32, 64, -32, -64)
KINDS: Final = {"IMAGE": "image", "IUEIMAGE": "image", "BINTABLE": "bintable", "A3DTABLE": "bintable", "TABLE": "table"}


@dataclass(frozen=True, slots=True)
class HduSpan:
    """One HDU: offsets and sizes in bytes.

    `kind` is primary, groups, image, bintable, table or other. `data_size` is without padding, `end_offset` behind the
    padding. `shape` lists the axes as numpy does (slowest first). `compressed` says that a table holds a
    tile-compressed image. `datasum_card` is the value of the DATASUM card, None when there is none that can be read.
    """

    index: int
    kind: str
    header_offset: int
    data_offset: int
    data_size: int
    end_offset: int
    bitpix: int
    shape: tuple[int, ...]
    extname: str
    compressed: bool
    datasum_card: int | None

    @property
    def is_image(self) -> bool:
        """Whether the data unit is a plain array of pixels and nothing else."""
        pixels = math.prod(self.shape) if self.shape else 0
        return self.kind in {"primary", "image"} and pixels > 0 and pixels * abs(self.bitpix) // 8 == self.data_size


@dataclass(frozen=True, slots=True)
class FitsLayout:
    """A whole FITS file: its HDUs, what follows the last one (special records or junk), and what NEXTEND promised."""

    size: int
    hdus: tuple[HduSpan, ...]
    trailing: int
    nextend: int | None


def scan(path: Path) -> FitsLayout:
    """Find the HDUs of a file that claims to be FITS.

    Raises
    ------
    NotFits
        The file is something else, or its headers do not say where its data are.
    Incomplete
        Bytes are missing: `missing` says how many, as far as the headers written so far tell.
    """
    with path.open("rb") as file:
        return scan_file(file, os.fstat(file.fileno()).st_size)


def scan_file(file: BinaryIO, size: int) -> FitsLayout:
    """`scan` for an open, seekable file of `size` bytes."""
    hdus: list[HduSpan] = []
    offset = 0
    nextend: int | None = None
    while offset < size or not hdus:
        if hdus and not _announces_extension(file, offset, size):
            break
        if len(hdus) >= MAX_HDUS:
            raise NotFits(f"more than {MAX_HDUS} HDUs")
        cards, data_offset = _read_header(file, offset, size, len(hdus))
        span = _span(cards, len(hdus), offset, data_offset)
        if span.end_offset > size:
            missing = span.end_offset - size
            raise Incomplete(f"HDU {len(hdus)} ends at byte {span.end_offset}, {missing} bytes are missing", missing)
        if not hdus:
            nextend = card_int(cards, b"NEXTEND")
        hdus.append(span)
        offset = span.end_offset
    return FitsLayout(size, tuple(hdus), size - offset, nextend)


def check_complete(path: Path) -> FitsLayout | None:
    """Whether a file is whole: a FITS file by its headers (returns its layout), a gzip file by its own checksum (None).

    The structure within a gzip stream is not looked at; a frame that arrives compressed is whole when gzip says so.

    Raises
    ------
    NotFits, Incomplete, Corrupt
        As `scan`; Corrupt when a gzip stream fails its checksum.
    """
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            file.seek(0)
            check_gzip(file)
            return None
        return scan_file(file, os.fstat(file.fileno()).st_size)


def _announces_extension(file: BinaryIO, offset: int, size: int) -> bool:
    """Whether an extension starts here; the first bytes of a card that is still being written count as one."""
    file.seek(offset)
    start = file.read(8)
    return start == b"XTENSION" or (offset + len(start) == size and b"XTENSION".startswith(start))


def _read_header(file: BinaryIO, offset: int, size: int, index: int) -> tuple[list[bytes], int]:
    """Cards of the header at `offset` up to END, and the offset of the block behind it."""
    first = b"XTENSION" if index else b"SIMPLE  "
    cards: list[bytes] = []
    for number, block in enumerate(_blocks(file, offset)):
        if number == 0 and not (first + b"=").startswith(block[:9]):
            raise NotFits(f"HDU {index} does not start with {first.decode().strip()}")
        for start in range(0, len(block), CARD):
            card = block[start : start + CARD]
            if card[:8] == b"END     " and not card[8:].strip(b" "):
                end = offset + (number + 1) * BLOCK
                if end > size:
                    raise Incomplete(f"the header of HDU {index} ends at byte {end}, the file at {size}", end - size)
                return cards, end
            cards.append(card)
        if len(block) < BLOCK:
            missing = BLOCK - len(block)
            raise Incomplete(f"the header of HDU {index} has no END yet, at least {missing} bytes are missing", missing)
    raise NotFits(f"the header of HDU {index} has no END within {MAX_HEADER_BLOCKS} blocks")


def _blocks(file: BinaryIO, offset: int) -> Iterator[bytes]:
    file.seek(offset)
    for _ in range(MAX_HEADER_BLOCKS):
        block = file.read(BLOCK)
        yield block
        if len(block) < BLOCK:
            return


def _span(cards: list[bytes], index: int, header_offset: int, data_offset: int) -> HduSpan:
    where = f"HDU {index}"
    if index == 0 and value_of(cards[0]) not in {b"T", b"F"}:
        raise NotFits(f"{where}: SIMPLE is neither T nor F")
    bitpix, naxis = card_int(cards, b"BITPIX"), card_int(cards, b"NAXIS")
    if bitpix not in BITPIX:
        raise NotFits(f"{where}: BITPIX is {'missing' if bitpix is None else bitpix}, expected one of {BITPIX}")
    if naxis is None or not 0 <= naxis <= MAX_AXES:
        raise NotFits(f"{where}: NAXIS is {'missing' if naxis is None else naxis}, expected 0 to {MAX_AXES}")
    axes = [_count(cards, b"NAXIS%d" % (axis + 1), where) for axis in range(naxis)]
    pcount, gcount = _count(cards, b"PCOUNT", where, 0), _count(cards, b"GCOUNT", where, 1)
    kind = "primary" if index == 0 else KINDS.get(card_text(cards, b"XTENSION"), "other")
    if naxis and axes[0] == 0 and index == 0 and card_logical(cards, b"GROUPS"):
        kind = "groups"
        elements = gcount * (pcount + math.prod(axes[1:]))
    elif index == 0:  # PCOUNT and GCOUNT mean nothing in a primary array
        elements = math.prod(axes) if axes else 0
    else:
        elements = gcount * (pcount + math.prod(axes)) if axes else 0
    data_size = elements * abs(bitpix) // 8
    if data_size > MAX_DATA:
        raise NotFits(f"{where}: the header claims {data_size} bytes of data")
    return HduSpan(
        index=index,
        kind=kind,
        header_offset=header_offset,
        data_offset=data_offset,
        data_size=data_size,
        end_offset=data_offset + -(-data_size // BLOCK) * BLOCK,
        bitpix=bitpix,
        shape=tuple(reversed(axes)),
        extname=card_text(cards, b"EXTNAME"),
        compressed=kind == "bintable" and card_logical(cards, b"ZIMAGE"),
        datasum_card=_datasum_card(cards),
    )


def _count(cards: list[bytes], key: bytes, where: str, default: int | None = None) -> int:
    value = card_int(cards, key)
    if value is None and default is not None and not any(card.startswith(key.ljust(8) + b"=") for card in cards):
        return default
    if value is None or not 0 <= value <= MAX_DATA:
        raise NotFits(f"{where}: {key.decode()} is {'missing or not a number' if value is None else value}")
    return value


def _datasum_card(cards: list[bytes]) -> int | None:
    text = card_text(cards, b"DATASUM")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
