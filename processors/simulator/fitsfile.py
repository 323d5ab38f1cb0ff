"""FITS files as the camera's computer writes them: the same cards and pixels give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.card_text import Card, format_card
from processors.checksum import encode, sum32

BLOCK: Final = 2880


def primary_hdu(cards: Sequence[Card], image: npt.NDArray[np.uint16] | None = None) -> bytes:
    """Bytes of a primary HDU, without pixels or with an unsigned 16-bit image of (rows, columns)."""
    first: list[Card] = [("SIMPLE", True, "conforms to the FITS standard")]
    if image is None:
        first += [("BITPIX", 16, ""), ("NAXIS", 0, "no data in the primary HDU"), ("EXTEND", True, "")]
        return _with_sums([*first, *cards], b"")
    return _with_sums([*first, *_axes(image), ("EXTEND", True, ""), *_UNSIGNED, *cards], _pixels(image))


def image_hdu(cards: Sequence[Card], image: npt.NDArray[np.uint16], name: str) -> bytes:
    """Bytes of an image extension with an unsigned 16-bit image of (rows, columns)."""
    first: list[Card] = [("XTENSION", "IMAGE", "image extension"), *_axes(image)]
    first += [("PCOUNT", 0, ""), ("GCOUNT", 1, ""), *_UNSIGNED, ("EXTNAME", name, "detector")]
    return _with_sums([*first, *cards], _pixels(image))


_UNSIGNED: Final[list[Card]] = [("BZERO", 32768, "unsigned 16-bit integers"), ("BSCALE", 1, "")]


def _axes(image: npt.NDArray[np.uint16]) -> list[Card]:
    rows, columns = image.shape
    return [("BITPIX", 16, ""), ("NAXIS", 2, ""), ("NAXIS1", columns, "columns"), ("NAXIS2", rows, "rows")]


def _pixels(image: npt.NDArray[np.uint16]) -> bytes:
    raw = (image ^ np.uint16(0x8000)).astype(">u2").tobytes()
    return raw + bytes(-len(raw) % BLOCK)


def _with_sums(cards: Sequence[Card], data: bytes) -> bytes:
    """Header and data unit with DATASUM and CHECKSUM (FITS Standard 4.0, section 4.4.2.7)."""
    datasum = sum32(data)
    zeros = "0" * 16
    text = "".join(format_card(*card) for card in cards)
    text += format_card("CHECKSUM", zeros) + format_card("DATASUM", str(datasum))
    text += f"{'END':<80}"
    text += " " * (-len(text) % BLOCK)
    checksum = encode(sum32(text.encode("ascii"), datasum))
    return text.replace(f"CHECKSUM= '{zeros}'", f"CHECKSUM= '{checksum}'", 1).encode("ascii") + data
