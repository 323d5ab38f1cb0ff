"""The raw image of a detector, put together from the HDUs of its amplifiers where these have one each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.geometry import DetectorSetup

Pixels = NDArray[np.uint16] | NDArray[np.float32]


def raw_image(read: Callable[[int], Pixels], setup: DetectorSetup) -> Pixels:
    """Raw image of a detector, ADU: (rows, columns), uint16 or float32, native, C-contiguous.

    `read` gives the image of an HDU by its number.

    Raises
    ------
    BadFrame
        An amplifier's HDU has the wrong size or one value everywhere (an image that was never written), or a section
        leaves the image; and what `read` raises.
    """
    image = _assembled(read, setup) if setup.tiles else read(setup.hdu)
    setup.check_shape(image.shape)
    return image


def _assembled(read: Callable[[int], Pixels], setup: DetectorSetup) -> Pixels:
    extent = (max(tile.raw.y1 for tile in setup.tiles), max(tile.raw.x1 for tile in setup.tiles))
    whole = np.zeros(extent, np.float32)
    kinds = set()
    for tile in setup.tiles:
        image = read(tile.hdu)
        name = f"detector {setup.detector}, HDU {tile.hdu} ({tile.name})"
        if image.shape != tile.raw.shape:
            raise BadFrame(f"{name}: {image.shape} pixels where {tile.raw.shape} belong")
        if image.min() == image.max():
            raise BadFrame(f"{name}: every pixel is {image.flat[0]:g}, no image was written")
        kinds.add(image.dtype)
        whole[tile.raw.slices] = image[:: -1 if tile.flip_y else 1, :: -1 if tile.flip_x else 1]
    return whole.astype(np.uint16) if kinds == {np.dtype(np.uint16)} else whole
