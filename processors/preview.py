"""A PNG for eyes: all detectors of a product beside each other, stretched by zscale."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.cards import Header
from processors.errors import BadFrame
from processors.fits import read_image
from processors.header import read_headers
from processors.identity import text_of
from processors.publish import publish

_GAP: Final = 4
_BORDER: Final = 40  # grey level between detectors


def write_preview(product: Path | str, path: Path | str, largest: int = 1024) -> tuple[int, int]:
    """Draw the science (or master) planes of a product into a PNG, its longer side at most `largest` pixels; the size.

    Every detector is averaged down in blocks. One zscale interval (IRAF's, by astropy) holds for all of them. North or
    the focal plane's arrangement are not looked for: detectors stand in the file's order, row by row from the top.

    Raises
    ------
    BadFrame
        The product holds no such plane.
    """
    from PIL import Image

    headers = [header for header in read_headers(product)[1:] if _shown(header)]
    if not headers:
        raise BadFrame(f"{Path(product).name} holds nothing to show")
    across = math.ceil(math.sqrt(len(headers)))
    tiles = [_small(np.asarray(read_image(product, h), np.float32), max(1, largest // across)) for h in headers]
    low, high = _zscale(tiles)
    canvas = _arrange([_grey(tile, low, high) for tile in tiles], across)
    image = Image.fromarray(canvas)
    with publish(path) as file:
        image.save(file, format="PNG", optimize=False)
    return image.size


def _shown(header: Header) -> bool:
    return text_of(header.get("EXTNAME")).endswith(("-SCI", "-VALUE"))


def _small(image: NDArray[np.float32], largest: int) -> NDArray[np.float32]:
    """Mean of blocks, so that neither side is longer than `largest`; what does not fill a block is cut off."""
    step = max(1, math.ceil(max(image.shape) / largest))
    rows, columns = (side // step for side in image.shape)
    if rows == 0 or columns == 0:
        return image[::step, ::step]
    blocks = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    small: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return small


def _zscale(tiles: list[NDArray[np.float32]]) -> tuple[float, float]:
    from astropy.visualization import ZScaleInterval

    values = np.concatenate([tile.ravel() for tile in tiles])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = ZScaleInterval().get_limits(values)
    return float(low), float(high) if high > low else float(low) + 1.0


def _grey(tile: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    scaled = np.clip((np.nan_to_num(tile, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
    grey: NDArray[np.uint8] = (scaled[::-1] * 255).astype(np.uint8)  # row 1 of a FITS image is at the bottom
    return grey


def _arrange(tiles: list[NDArray[np.uint8]], across: int) -> NDArray[np.uint8]:
    height = max(tile.shape[0] for tile in tiles) + _GAP
    width = max(tile.shape[1] for tile in tiles) + _GAP
    down = math.ceil(len(tiles) / across)
    canvas = np.full((down * height - _GAP, across * width - _GAP), _BORDER, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        canvas[row * height : row * height + tile.shape[0], column * width : column * width + tile.shape[1]] = tile
    return canvas
