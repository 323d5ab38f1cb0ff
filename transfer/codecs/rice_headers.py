"""Headers of tile-compressed images: an image's cards into a table's header, and back (docs/formats.md section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from transfer.checksum import datasum
from transfer.errors import Unsupported
from transfer.structure import BLOCK, CARD, MAX_HEADER_BLOCKS

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
_END: Final = b"END".ljust(CARD)
_OF_THE_TABLE: Final = {b"CHECKSUM", b"DATASUM"}  # the image's are renamed
_PUNCTUATION: Final = set(b":;<=>?@[\\]^_`")
_AXIS: Final = re.compile(rb"(Z?)NAXIS([0-9]{1,3})\Z")
# What a reader of compressed images takes as said about the table or its compression, wherever it stands.
_RESERVED: Final = re.compile(
    rb"(TFIELDS|THEAP|(TTYPE|TFORM|TUNIT|TSCAL|TZERO|TNULL|TDISP|TDIM)[0-9]+|ZIMAGE|ZCMPTYPE|ZQUANTIZ|ZDITHER0|ZBLANK|"
    rb"ZSCALE|ZZERO|ZMASKCMP|(ZTILE|ZNAME|ZVAL|ZNAXIS)[0-9]+|" + b"|".join(RESTORED) + rb")\Z"
)


def split(header: bytes) -> list[bytes]:
    """Cards of header blocks, without END and what follows it."""
    cards = [header[start : start + CARD] for start in range(0, len(header), CARD)]
    return cards[: cards.index(_END)] if _END in cards else cards


def join(cards: Sequence[bytes]) -> bytes:
    """Header blocks of cards, with END and padding."""
    text = b"".join(cards) + _END
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def card(key: str, value: str | int, comment: str) -> bytes:
    """A card in fixed format; a text is given as the value field has it."""
    text = f"{value:<20s}" if isinstance(value, str) and value.startswith("'") else f"{value:>20}"
    return f"{key:8s}= {text} / {comment}".encode().ljust(CARD)


def empty_primary() -> bytes:
    """A primary HDU without data, in front of an image that was the primary array and keeps its ZSIMPLE."""
    return join(
        [
            card("SIMPLE", "T", "file does conform to FITS standard"),
            card("BITPIX", 16, "number of bits per data pixel"),
            card("NAXIS", 0, "number of data axes"),
            card("EXTEND", "T", "FITS dataset may contain extensions"),
        ]
    )


def table(shape: tuple[int, ...], pixel: int, rows: int, heap: int, longest: int) -> list[bytes]:
    """The table's own cards, in fpack's order.

    Parameters
    ----------
    shape
        Of the image, slowest axis first; a tile is one row of `shape[-1]` pixels of `pixel` bytes.
    rows, heap, longest
        Rows of the table, bytes of its heap, bytes of the longest tile.
    """
    tiles = [shape[-1], *([1] * (len(shape) - 1))]
    form = f"'1PB({longest})"
    return [
        card("XTENSION", "'BINTABLE'", "binary table extension"),
        card("BITPIX", 8, "8-bit bytes"),
        card("NAXIS", 2, "2-dimensional binary table"),
        card("NAXIS1", 8, "width of table in bytes"),
        card("NAXIS2", rows, "number of rows in table"),
        card("PCOUNT", heap, "size of special data area"),
        card("GCOUNT", 1, "one data group (required keyword)"),
        card("TFIELDS", 1, "number of fields in each row"),
        card("TTYPE1", "'COMPRESSED_DATA'", "label for field   1"),
        card("TFORM1", f"{form:<9s}'", "data format of field: variable length array"),
        card("ZIMAGE", "T", "extension contains compressed image"),
        *(card(f"ZTILE{axis}", tile, "size of tiles to be compressed") for axis, tile in enumerate(tiles, 1)),
        card("ZCMPTYPE", "'RICE_1  '", "compression algorithm"),
        card("ZNAME1", "'BLOCKSIZE'", "compression block size"),
        card("ZVAL1", 32, "pixels per block"),
        card("ZNAME2", "'BYTEPIX '", "bytes per pixel (1, 2, 4, or 8)"),
        card("ZVAL2", pixel, "bytes per pixel (1, 2, 4, or 8)"),
    ]


def check_image(image: Sequence[bytes]) -> None:
    """Unsupported when a card of an image would be taken as one of the table that it becomes."""
    for each in image:
        if each[:1] in {b"T", b"Z"} and _RESERVED.match(_key(each)):
            raise Unsupported(f"the image's header holds {_key(each).decode()}, which compressed images use themselves")


def compressed(own: Sequence[bytes], header: bytes, data: int | None = None) -> tuple[bytes, bool]:
    """Header of a compressed image: the table's own cards, then the image's, with the structural ones renamed.

    Returns also whether the image's header blocks come back byte for byte; if not, all its cards do.

    Parameters
    ----------
    data
        DATASUM of the table's data unit; when given, CHECKSUM and DATASUM follow. They also keep blank cards at the
        end of the image's header from being the end of the table's: cfitsio drops those.

    Raises
    ------
    Unsupported
        Not even that.
    """
    image = split(header)
    cards = [*own, *(_rename(each, RENAMED, b"") for each in image)]
    packed = join(cards) if data is None else _summed(cards, data)
    back = original(split(packed))
    if split(back) != image or len(packed) > MAX_HEADER_BLOCKS * BLOCK:
        raise Unsupported("the image's header does not come back from its compressed form")
    return packed, back == header


def original(header: Sequence[bytes]) -> bytes:
    """Header blocks of the image that a compressed image's header was made from."""
    image = [each for each in _image_cards(header) if _key(each) not in _OF_THE_TABLE]
    return join([_rename(each, RESTORED, b"Z") for each in image])


def was_primary(header: Sequence[bytes]) -> bool:
    """Whether a compressed image's header was made from that of a primary array."""
    return [_key(each) for each in _image_cards(header)[:1]] == [b"ZSIMPLE"]


def _summed(cards: Sequence[bytes], data: int) -> bytes:
    """Header blocks with DATASUM, and the CHECKSUM that makes the sum of the whole HDU -0."""
    last = card("DATASUM", f"'{data:<8}'", "data unit checksum")
    zero = join([*cards, card("CHECKSUM", f"'{'0' * 16}'", "HDU checksum"), last])
    total = datasum(zero) + data
    text = _ascii(~((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    return join([*cards, card("CHECKSUM", f"'{text}'", "HDU checksum"), last])


def _ascii(value: int) -> str:
    """A sum in 16 letters and digits, four for each of its bytes (FITS 4.0, appendix J.2)."""
    letters = bytearray(16)
    for index, byte in enumerate(value.to_bytes(4, "big")):
        four = [byte // 4 + ord("0") + (byte % 4 if j == 0 else 0) for j in range(4)]
        while _PUNCTUATION.intersection(four):
            for j in (0, 2):
                if _PUNCTUATION.intersection(four[j : j + 2]):
                    four[j], four[j + 1] = four[j] + 1, four[j + 1] - 1
        letters[index::4] = bytes(four)
    return (letters[-1:] + letters[:-1]).decode()


def _image_cards(header: Sequence[bytes]) -> list[bytes]:
    """The image's cards, which start with ZSIMPLE or ZTENSION; the table's own stand before them."""
    start = next((i for i, each in enumerate(header) if _key(each) in {b"ZSIMPLE", b"ZTENSION"}), len(header))
    return list(header[start:])


def _key(each: bytes) -> bytes:
    return each[:8].rstrip(b" ") if each[8:9] == b"=" else b""


def _rename(each: bytes, names: dict[bytes, bytes], prefix: bytes) -> bytes:
    key = _key(each)
    if key in names:
        return names[key].ljust(8) + each[8:]
    if not key.startswith(prefix + b"NAXIS"):  # as most; headers of hundreds of cards cost as much as their pixels
        return each
    axis = _AXIS.match(key)
    if axis and axis.group(1) == prefix:
        new = (b"" if prefix else b"Z") + b"NAXIS" + axis.group(2)
        return new.ljust(8) + each[8:] if len(new) <= 8 else each
    return each
