"""Headers of quick-look frames: every one says that it is not the original (docs/formats.md section 4.1)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transfer.cards import card_int, card_text
from transfer.codecs import rice_headers
from transfer.structure import CARD, scan

_SUMS: Final = (b"CHECKSUM=", b"DATASUM =")


@dataclass(frozen=True, slots=True)
class Marks:
    """What the primary header says: codec, its parameter (keyword, value, comment), noise, SHA-256 of the original."""

    codec: str
    parameter: tuple[str, float, str]
    noise: float = 0.0
    sha256: str = ""

    def cards(self) -> list[bytes]:
        """The cards; always as many, whatever their values."""
        key, value, comment = self.parameter
        return [
            card("NFCODEC", self.codec, "APPROXIMATION by nightferry, not the original"),
            card(key, float(value), comment),
            card("NFNOISE", self.noise, "noise added, as a fraction of the sky sigma"),
            card("NFSHA256", self.sha256),
            b"COMMENT Quick look: the pixels are approximate. NFSHA256 is the original file's.".ljust(CARD),
        ]


def marked(header: Sequence[bytes], marks: Marks) -> bytes:
    """Header blocks of a primary HDU with the marks behind its own cards."""
    return rice_headers.join([*header, *marks.cards()])


def without_sums(header: Sequence[bytes], *, data_kept: bool = False) -> list[bytes]:
    """The cards but CHECKSUM and DATASUM, which hold for the original only; DATASUM stays where the data do."""
    return [each for each in header if not each.startswith(_SUMS[:1] if data_kept else _SUMS)]


def codec_of(header: Sequence[bytes]) -> str:
    """The codec that a primary header names, or nothing for an original."""
    return card_text(header, b"NFCODEC")


def original_of(path: Path) -> str:
    """SHA-256 of the original that the primary header of a frame names, or nothing when it is no approximation.

    Raises
    ------
    NotFits, Incomplete
        As `scan`.
    """
    with path.open("rb") as file:
        header = rice_headers.split(file.read(scan(path).hdus[0].data_offset))
    return card_text(header, b"NFSHA256") if codec_of(header) else ""


def renamed(header: Sequence[bytes]) -> list[bytes]:
    """The cards of an image as they stand in a table's header; Unsupported when they would not come back."""
    rice_headers.check_image(header)
    return rice_headers.split(rice_headers.compressed([], rice_headers.join(header))[0])


def own_cards(header: Sequence[bytes]) -> list[bytes]:
    """A table's own cards: those before the image's, which start with ZSIMPLE or ZTENSION."""
    return list(itertools.takewhile(lambda each: not each.startswith((b"ZSIMPLE =", b"ZTENSION=")), header))


def announced(header: Sequence[bytes]) -> tuple[int, tuple[int, ...]] | None:
    """BITPIX and shape (slowest axis first) of the image that a table stands for; None when it does not say."""
    bitpix, naxis = card_int(header, b"ZBITPIX"), card_int(header, b"ZNAXIS") or 0
    axes = [card_int(header, b"ZNAXIS%d" % (axis + 1)) for axis in range(naxis if naxis <= 999 else 0)]
    shape = tuple(axis for axis in reversed(axes) if axis is not None and axis > 0)
    return (bitpix, shape) if bitpix in {8, 16, 32} and len(shape) == len(axes) >= 2 else None


def card(key: str, value: str | int | float, comment: str = "") -> bytes:
    """A card in fixed format; T and F are logical values."""
    if not isinstance(value, str):
        value = str(value)
    elif value not in {"T", "F"}:
        value = f"'{value:8s}'"
    return rice_headers.card(key, value, comment)
