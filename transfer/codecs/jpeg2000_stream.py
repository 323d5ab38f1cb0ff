"""What a JPEG 2000 codestream says of itself, before a library allocates anything for it (ISO/IEC 15444-1, annex A)."""

from __future__ import annotations

import struct
from typing import Final

from transfer.errors import Corrupt

SOC, SIZ, COD, QCD, COM, SOT, SOD = 0xFF4F, 0xFF51, 0xFF52, 0xFF5C, 0xFF64, 0xFF90, 0xFF93
_SEGMENT: Final = struct.Struct(">HH")
_SIZ: Final = struct.Struct(">H8IH3B")
_COD: Final = struct.Struct(">BBHB5B")
_SOT: Final = struct.Struct(">HIBB")
MAX_LEVELS: Final = 6


def check_codestream(stream: bytes, rows: int, columns: int) -> None:
    """Whether it is one tile of unsigned 16-bit pixels of that size, coded as `Jpeg2000` does.

    Nothing else is let through: no second component, tile or layer, no other code blocks, no precincts of their own,
    and no markers that would change these later.

    Raises
    ------
    Corrupt
        It is not.
    """
    if stream[:2] != SOC.to_bytes(2, "big"):
        raise Corrupt("not a JPEG 2000 codestream")
    place, seen = 2, []
    while True:
        marker, length = _SEGMENT.unpack(_part(stream, place, 4))
        body = _part(stream, place + 4, max(0, length - 2))
        place += 2 + max(2, length)
        seen.append(marker)
        if marker == SIZ:
            _check_size(body, rows, columns)
        elif marker == COD:
            _check_coding(body)
        elif marker == SOT:
            _check_tile(body, stream, place)
            break
        elif marker not in {QCD, COM}:
            raise Corrupt(f"a JPEG 2000 codestream has the marker {marker:#x}, which is not written here")
    if [marker for marker in seen if marker != COM] != [SIZ, COD, QCD, SOT]:
        raise Corrupt("the markers of a JPEG 2000 codestream are not those that are written here")


def _check_size(body: bytes, rows: int, columns: int) -> None:
    wanted = (columns, rows, 0, 0, columns, rows, 0, 0)
    if len(body) != _SIZ.size or _SIZ.unpack(body)[1:] != (*wanted, 1, 15, 1, 1):
        raise Corrupt("a JPEG 2000 codestream is not one tile of 16-bit pixels of the size that its image says")


def _check_coding(body: bytes) -> None:
    if len(body) != _COD.size:
        raise Corrupt("a JPEG 2000 codestream has a coding style that is not written here")
    style, progression, layers, transform, levels, width, height, blocks, wavelet = _COD.unpack(body)
    if (style, layers, transform, width, height, blocks) != (0, 1, 0, 4, 4, 0) or progression > 4:
        raise Corrupt("a JPEG 2000 codestream has a coding style that is not written here")
    if levels > MAX_LEVELS or wavelet > 1:
        raise Corrupt("a JPEG 2000 codestream has a coding style that is not written here")


def _check_tile(body: bytes, stream: bytes, place: int) -> None:
    """One tile part, straight into its data, up to the end of the codestream."""
    if len(body) != _SOT.size or _part(stream, place, 2) != SOD.to_bytes(2, "big"):
        raise Corrupt("a JPEG 2000 codestream has a tile header that is not written here")
    tile, length, number, parts = _SOT.unpack(body)
    if (tile, number, parts) != (0, 0, 1) or place - 12 + length + 2 != len(stream):
        raise Corrupt("a JPEG 2000 codestream is cut short, or has more than one tile")


def _part(stream: bytes, start: int, length: int) -> bytes:
    part = stream[start : start + length]
    if len(part) != length:
        raise Corrupt("a JPEG 2000 codestream is cut short")
    return part
