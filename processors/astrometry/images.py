"""The images of a file that have, or could have, a solution on the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from processors.astrometry.stars import Stars, find_stars
from processors.cards import Header
from processors.fits import read_image

_SMALLEST: Final = 16  # pixels on a side
_NO_STARS: Final = ("-VAR", "-MASK", "-COUNT")  # planes of our own products


@dataclass(frozen=True, slots=True)
class SkyImage:
    """An image extension (or the primary one).

    Attributes
    ----------
    header : Header
        Of its HDU.
    name : str
        EXTNAME, or nothing.
    shape : (int, int)
        Rows and columns.
    solved : bool
        Its header speaks of a place on the sky.
    mask : Header or None
        Of the HDU that holds its mask, in our own products.
    """

    header: Header
    name: str
    shape: tuple[int, int]
    solved: bool
    mask: Header | None = None


def images_of(headers: Sequence[Header]) -> list[SkyImage]:
    """Images with a solution; where there are none in a file, every image of 16 by 16 pixels or more."""
    named = {str(header.get("EXTNAME", "") or ""): header for header in headers}
    images: list[SkyImage] = []
    for header in headers:
        shape = _shape(header)
        name = str(header.get("EXTNAME", "") or "")
        if shape is None or min(shape) < _SMALLEST or name.endswith(_NO_STARS):
            continue
        mask = named.get(f"{name.removesuffix('-SCI')}-MASK") if name.endswith("-SCI") else None
        kinds = {str(header.get(f"CTYPE{axis}", "") or "").strip().upper()[:4].rstrip("-") for axis in (1, 2)}
        images.append(SkyImage(header, name, shape, bool(kinds & {"RA", "DEC"}), mask))
    return [image for image in images if image.solved] or images


def find_stars_of(path: Path, image: SkyImage) -> Stars:
    """Stars of an image of a file (BadFrame)."""
    mask = None if image.mask is None else read_image(path, image.mask).astype(np.uint16)
    return find_stars(read_image(path, image.header), mask)


def _shape(header: Header) -> tuple[int, int] | None:
    """Rows and columns, None where the HDU is no image of two axes (more are fine if they have one element)."""
    tiles = header.get("ZIMAGE") is True
    if not tiles and header.get("XTENSION", "IMAGE") != "IMAGE":
        return None
    prefix = "ZNAXIS" if tiles else "NAXIS"
    number = header.get(prefix)
    if type(number) is not int or not 2 <= number <= 9:
        return None
    axes = [header.get(f"{prefix}{axis}") for axis in range(1, number + 1)]
    sizes = [axis for axis in axes if type(axis) is int]
    if len(sizes) != number or any(size != 1 for size in sizes[2:]):
        return None
    return sizes[1], sizes[0]
