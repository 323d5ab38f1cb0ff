"""What a codec asks of a file before it begins."""

from __future__ import annotations

from pathlib import Path

from transfer.errors import Incomplete, NotFits, Unsupported
from transfer.structure import FitsLayout, HduSpan, scan


def layout_of(path: Path) -> FitsLayout | None:
    """The layout of a file, or None when it is not whole FITS: codecs carry any bytes."""
    try:
        return scan(path)
    except (NotFits, Incomplete):
        return None


def uncompressed(source: Path) -> FitsLayout:
    """The layout of a file; Unsupported when it is not whole FITS, or an image of it is tile-compressed."""
    try:
        layout = scan(source)
    except (NotFits, Incomplete) as error:
        raise Unsupported(f"{source.name} is not whole FITS: {error}") from error
    for span in layout.hdus:
        if span.compressed:
            raise Unsupported(f"{place(span, source)} is tile-compressed already")
    return layout


def place(span: HduSpan, source: Path) -> str:
    """How an HDU is named to a person."""
    return f"HDU {span.index} of {source.name}"
