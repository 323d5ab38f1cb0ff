"""The sky under the stars: level and noise over an image, by sep as SExtractor does it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.kernels import kernel
from processors.photometry.sky import check_planes
from processors.planes import Mask

F4 = NDArray[np.float32]
BOX: Final = 64  # pixels of a mesh cell
_FEWEST_PIXELS: Final = 100  # that an image must have to tell its background


@dataclass(frozen=True, slots=True)
class Background:
    """Sky of an image.

    `level_e` and `sigma_e` are the medians of `level_map` and `sigma_map` (rows, columns, e-, float32); `number` counts
    the pixels that were usable. Without enough of them both are NaN, the maps are zero, `number` is 0, and `reason`
    says why.
    """

    level_e: float
    sigma_e: float
    level_map: F4
    sigma_map: F4
    number: int
    reason: str = ""


def some_hidden(sci: F4, mask: NDArray[np.uint16] | None, spared: Mask = Mask.SATURATED) -> NDArray[np.bool_] | None:
    """Pixels that tell nothing, bool; or None where all do: not a finite number, or any bit but the `spared`.

    Saturated pixels are spared, as a star without its core would be two crescents; its sources are flagged instead.
    """
    hidden = np.empty(sci.shape, np.bool_)
    plane = np.zeros((0, 0), np.uint16) if mask is None else mask
    return hidden if _hide(sci, plane, np.uint16(0xFFFF ^ spared), hidden) else None


@kernel
def _hide(sci: Any, mask: Any, refused: Any, hidden: Any) -> Any:
    """Fill `hidden` and count it."""
    infinite, none, count = np.float32(np.inf), np.uint16(0), 0
    for y in range(sci.shape[0]):
        S, H = sci[y], hidden[y]
        if mask.size == 0:
            for x in range(sci.shape[1]):
                # NaN compares false
                H[x] = not (abs(S[x]) < infinite)
                count += H[x]
        else:
            M = mask[y]
            for x in range(sci.shape[1]):
                H[x] = ((M[x] & refused) != none) | (not (abs(S[x]) < infinite))
                count += H[x]
    return count


def measure_background(sci: F4, mask: NDArray[np.uint16] | None = None, box: int = BOX) -> Background:
    """Background in cells of `box` pixels, median-filtered over 3 x 3 cells and interpolated by splines.

    In a cell the level is the mode 2.5 median - 1.5 mean of the clipped pixels, or their median where the two differ
    (Bertin & Arnouts 1996, A&AS 117, 393, section 3; Barbary 2016, JOSS 1, 58). Saturated pixels do not count here.

    Parameters
    ----------
    sci : (rows, columns) float32, e-, native and C-contiguous
    mask : bits of `planes.Mask`

    Raises
    ------
    BadFrame
        The planes have different shapes.
    """
    import sep

    check_planes(sci, mask=mask)
    hidden = some_hidden(sci, mask, Mask(0))
    number = sci.size if hidden is None else int(sci.size - np.count_nonzero(hidden))
    if number < _FEWEST_PIXELS:
        nothing = np.zeros(sci.shape, np.float32)
        reason = f"{number} usable pixels: the rest is masked or not a number"
        return Background(math.nan, math.nan, nothing, nothing, 0, reason)
    found = sep.Background(sci, mask=hidden, bw=box, bh=box, fw=3, fh=3)
    level, sigma = found.back(dtype=np.float32), found.rms(dtype=np.float32)
    # every eighth row and column of a map that is smooth over a cell
    return Background(float(np.median(level[::8, ::8])), float(np.median(sigma[::8, ::8])), level, sigma, number)
