"""Tables of HCOMPRESS images that nobody has to trust, made safe for cfitsio.

cfitsio believes the sizes in a compressed tile and does not look where the tile ends: wrong ones make it write and read
beyond its memory. So the sizes are checked here, and every tile is followed by as many bytes as it could ever ask for.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

from transfer.cards import card_int, card_text
from transfer.codecs import rice_headers
from transfer.codecs.quicklook import MIN_SIDE, Table
from transfer.codecs.quicklook_headers import card, own_cards
from transfer.errors import Corrupt

HEAD: Final = struct.Struct(">2siiiq3B")  # magic, rows, columns, scale, sum, bit planes of three kinds of coefficients
MAGIC: Final = b"\xdd\x99"
MAX_TILE: Final = 1 << 24  # pixels
_FORM: Final = re.compile(r"1([PQ])B(\([0-9]+\))?\Z")


def rebuilt(table: Table, bitpix: int, shape: tuple[int, ...]) -> bytes:
    """A FITS file with the image of a table, of which only checked values and the tiles' own bytes are taken.

    Raises
    ------
    Corrupt
        The table is not what `Hcompress.shrink` makes of an image of that type and shape.
    """
    own = own_cards(table.cards)
    tile = _tile(own, shape)
    places, heap = _places(own, table.data, _tiles(shape, tile))
    margin = 0
    for (offset, length), (rows, columns) in zip(places, _tile_sizes(shape, tile), strict=True):
        planes = _checked(heap[offset : offset + length], rows, columns, 31 if bitpix <= 16 else 63)
        margin = max(margin, _appetite(rows, columns, planes))
    rows_of_table = np.array([(length + margin, offset) for offset, length in places], ">i8").tobytes()
    data = rows_of_table + heap + bytes(margin)
    header = _header(bitpix, shape, tile, len(places), len(heap) + margin)
    return rice_headers.empty_primary() + header + data + bytes(-len(data) % 2880)


def _tile(own: list[bytes], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of the tiles, slowest axis first; all axes but the last two are cut into single planes."""
    tile = tuple(card_int(own, b"ZTILE%d" % (len(shape) - axis)) or 0 for axis in range(len(shape)))
    fits = all(
        MIN_SIDE <= side <= length and not 0 < length % side < MIN_SIDE
        for side, length in zip(tile[-2:], shape[-2:], strict=True)
    )
    if not fits or any(side != 1 for side in tile[:-2]) or math.prod(tile) > MAX_TILE:
        raise Corrupt("a compressed image has tiles that do not fit it")
    return tile


def _tiles(shape: tuple[int, ...], tile: tuple[int, ...]) -> int:
    return math.prod(-(-length // side) for side, length in zip(tile, shape, strict=True))


def _tile_sizes(shape: tuple[int, ...], tile: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Rows and columns of every tile, in the table's order."""
    starts = [range(0, length, side) for length, side in zip(shape[-2:], tile[-2:], strict=True)]
    for _, top, left in itertools.product(range(math.prod(shape[:-2])), *starts):
        yield min(tile[-2], shape[-2] - top), min(tile[-1], shape[-1] - left)


def _places(own: list[bytes], data: bytes, tiles: int) -> tuple[list[tuple[int, int]], bytes]:
    """Offset and length of every tile in the heap, and the heap."""
    form = _FORM.match(card_text(own, b"TFORM1"))
    width = card_int(own, b"NAXIS1")
    if form is None or card_int(own, b"TFIELDS") != 1 or width != {"P": 8, "Q": 16}[form[1]]:
        raise Corrupt("a compressed image is not a table of one column")
    if card_int(own, b"NAXIS2") != tiles or width * tiles > len(data):
        raise Corrupt("a compressed image does not have as many tiles as it needs")
    heap = data[width * tiles :]
    pairs = np.frombuffer(data, ">u4" if form[1] == "P" else ">u8", 2 * tiles).reshape(tiles, 2).tolist()
    if any(length > len(heap) or offset > len(heap) - length for length, offset in pairs):
        raise Corrupt("a tile of a compressed image lies outside of it")
    return [(offset, length) for length, offset in pairs], heap


def _checked(stream: bytes, rows: int, columns: int, most: int) -> tuple[int, int, int]:
    """Bit planes of a tile whose own header agrees with the table's."""
    if len(stream) < HEAD.size:
        raise Corrupt("a tile of a compressed image is cut short")
    magic, own_rows, own_columns, scale, _, *planes = HEAD.unpack_from(stream)
    if magic != MAGIC or (own_rows, own_columns) != (rows, columns) or scale < 0 or max(planes) > most:
        raise Corrupt("a tile of a compressed image does not hold what the image says")
    return planes[0], planes[1], planes[2]


def _appetite(rows: int, columns: int, planes: tuple[int, int, int]) -> int:
    """No fewer bytes than a decoder can read for a tile, whatever is in it.

    A bit plane of a quadrant is a start code and a tree of codes of at most 6 bits, or its plain bits; signs follow.
    """
    nodes, height, width = 0, (rows + 1) // 2, (columns + 1) // 2
    while height > 1 or width > 1:
        height, width = (height + 1) // 2, (width + 1) // 2
        nodes += height * width
    levels = planes[0] + 2 * planes[1] + planes[2]
    return HEAD.size + (levels * (6 * nodes + 16) + rows * columns) // 8 + 64


def _header(bitpix: int, shape: tuple[int, ...], tile: tuple[int, ...], tiles: int, heap: int) -> bytes:
    return rice_headers.join(
        [
            card("XTENSION", "BINTABLE"),
            card("BITPIX", 8),
            card("NAXIS", 2),
            card("NAXIS1", 16),
            card("NAXIS2", tiles),
            card("PCOUNT", heap),
            card("GCOUNT", 1),
            card("TFIELDS", 1),
            card("TTYPE1", "COMPRESSED_DATA"),
            card("TFORM1", f"1QB({heap})"),
            card("ZIMAGE", "T"),
            card("ZCMPTYPE", "HCOMPRESS_1"),
            card("ZBITPIX", bitpix),
            card("ZNAXIS", len(shape)),
            *(card(f"ZNAXIS{axis + 1}", length) for axis, length in enumerate(reversed(shape))),
            *(card(f"ZTILE{axis + 1}", side) for axis, side in enumerate(reversed(tile))),
            card("ZNAME1", "SCALE"),
            card("ZVAL1", 1),
            card("ZNAME2", "SMOOTH"),
            card("ZVAL2", 0),
        ]
    )
