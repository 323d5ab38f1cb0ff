"""Headers of tile-compressed images: an image's cards into a table's header, and back (docs/formats.md section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from transfer.structure import BLOCK, CARD

RENAMED: Final = {
    b"SIMPLE": b"ZSIMPLE",
    b"XTENSION": b"ZTENSION",
    b"BITPIX": b"ZBITPIX",
    b"NAXIS": b"ZNAXIS",
    b"PCOUNT": b"ZPCOUNT",
    b"GCOUNT": b"ZGCOUNT",
    b"EXTEND": b"ZEXTEND",
    b"CHECKSUM": b"ZHECKSUM",
    b"DATASUM": b"ZDATASUM",
}
RESTORED: Final = {new: old for old, new in RENAMED.items()}
PRIMARY_MARK: Final = b"NFPRIM"
_AXIS: Final = re.compile(rb"(Z?)NAXIS([0-9]{1,3})\Z")
_OURS: Final = re.compile(
    rb"(XTENSION|BITPIX|NAXIS[12]?|PCOUNT|GCOUNT|TFIELDS|(TTYPE|TFORM|TUNIT)[0-9]+|ZIMAGE|ZCMPTYPE|"
    rb"ZQUANTIZ|ZDITHER0|ZBLANK|ZMASKCMP|(ZTILE|ZNAME|ZVAL)[0-9]+)\Z"
)


def split(header: bytes) -> list[bytes]:
    """Cards of header blocks, without END and what follows it."""
    cards = [header[start : start + CARD] for start in range(0, len(header), CARD)]
    return cards[: next((i for i, card in enumerate(cards) if card.rstrip() == b"END"), len(cards))]


def join(cards: Sequence[bytes]) -> bytes:
    """Header blocks of cards, with END and padding."""
    text = b"".join(cards) + b"END".ljust(CARD)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def card(key: str, value: str, comment: str) -> bytes:
    """A card with a logical or integer value in fixed format."""
    return f"{key:8s}= {value:>20s} / {comment}".encode().ljust(CARD)


def empty_primary(mark: bool) -> bytes:
    """A primary HDU without data; `mark` says that the first extension holds what was the primary array."""
    cards = [
        card("SIMPLE", "T", "conforms to the FITS standard"),
        card("BITPIX", "8", "bits per value"),
        card("NAXIS", "0", "no data here"),
        card("EXTEND", "T", "extensions follow"),
    ]
    if mark:
        cards.append(card(PRIMARY_MARK.decode(), "T", "the first extension was the primary array"))
    return join(cards)


def compressed(table: Sequence[bytes], image: Sequence[bytes]) -> bytes:
    """Header of a compressed image: the table's own cards, then the image's, with the structural ones renamed."""
    own = [each for each in table if _OURS.match(_key(each))]
    return join([*own, *(_rename(each, RENAMED, b"") for each in image)])


def bare(header: Sequence[bytes]) -> bytes:
    """Only what a reader needs to decompress, so that it neither scales the pixels nor looks for null values."""
    table, image = divide(header)
    axes = [each for each in image if _key(each) in {b"ZBITPIX", b"ZNAXIS"} or _AXIS.match(_key(each))]
    return join([*table, *axes])


def original(header: Sequence[bytes]) -> bytes:
    """Header blocks of the image that a compressed image's header was made from."""
    return join([_rename(each, RESTORED, b"Z") for each in divide(header)[1]])


def divide(header: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The table's own cards, and the image's, which start with ZSIMPLE or ZTENSION."""
    start = next((i for i, each in enumerate(header) if _key(each) in {b"ZSIMPLE", b"ZTENSION"}), len(header))
    return list(header[:start]), list(header[start:])


def _key(each: bytes) -> bytes:
    return each[:8].rstrip(b" ") if each[8:9] == b"=" else b""


def _rename(each: bytes, names: dict[bytes, bytes], prefix: bytes) -> bytes:
    key = _key(each)
    axis = _AXIS.match(key)
    if axis and axis.group(1) == prefix:
        new = (b"" if prefix else b"Z") + b"NAXIS" + axis.group(2)
        return new.ljust(8) + each[8:] if len(new) <= 8 else each
    return names[key].ljust(8) + each[8:] if key in names else each
