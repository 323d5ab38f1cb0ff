"""Cosmic rays replaced by what is around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.cosmics.local import good_median
from processors.errors import BadFrame
from processors.kernels import kernel

Image = NDArray[np.float32]


def clean(sci: Image, cosmics: NDArray[np.bool_], mask: NDArray[np.uint16] | None = None) -> Image:
    """A copy of `sci` with each cosmic pixel replaced by the median of the good ones around it.

    Good is finite, not masked (any bit) and no cosmic ray; looked for in 5 × 5 pixels, or else 9 × 9, or else 13 × 13.
    A pixel without any keeps its value. All arrays are (rows, columns); the copy is float32 in the units of `sci`.

    Raises:
        BadFrame: planes of unequal shapes.
    """
    for name, plane in (("the cosmic rays are", cosmics), ("the mask is", mask)):
        if plane is not None and plane.shape != sci.shape:
            raise BadFrame(f"{name} {plane.shape}, the image {sci.shape}")
    cleaned = np.array(sci, np.float32, order="C")
    avoided = cosmics.view(np.uint8) if mask is None else (mask != 0).view(np.uint8) | cosmics.view(np.uint8)
    places = np.flatnonzero(cosmics)
    values = medians_at(cleaned, avoided, places)
    known = np.isfinite(values)
    cleaned.reshape(-1)[places[known]] = values[known]
    return cleaned


@kernel
def medians_at(image: Any, avoided: Any, places: Any) -> Any:
    """Median around each place (flat index) of the pixels where `avoided` (uint8, as the image) is 0; -inf without."""
    values = np.empty(places.size, np.float32)
    for i in range(places.size):
        y, x = places[i] // image.shape[1], places[i] % image.shape[1]
        values[i] = good_median(image, avoided, np.uint8(255), y, x)
    return values
