"""Fringes of night-sky lines: a fringe frame, scaled to what is seen of it in the sky, is subtracted."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.planes import Mask
from processors.statistics import clipped

F4 = NDArray[np.float32]
_ENOUGH_PIXELS: Final = 400_000
_LEAST_PIXELS: Final = 100
_WIDTH: Final = 2.5  # σ: stars go
_ROUNDS: Final = 8


def subtract_fringe(sci: F4, var: F4, mask: NDArray[np.uint16], fringe: F4) -> float:
    """Subtract a fringe frame, about its median, from a reduced detector in place; the factor it was scaled by.

    The factor is the fringe term of a least-squares fit of a sloping sky plus the fringe frame to the unmasked pixels,
    those more than 2.5 σ away (stars) being left out until none goes. Where the fringe frame is not a number the pixel
    becomes `NOT_A_NUMBER`.

    Raises
    ------
    BadFrame
        Too few pixels are good, or the fringe frame is flat.
    """
    scale = fit_fringe(sci, mask, fringe)
    known = np.isfinite(fringe)
    middle = np.float32(np.median(fringe[known]))
    np.subtract(sci, np.float32(scale) * (fringe - middle), out=sci, where=known)
    if not known.all():
        unknown = ~known
        sci[unknown] = var[unknown] = 0
        mask[unknown] |= np.uint16(Mask.NOT_A_NUMBER)
    return scale


def fit_fringe(sci: F4, mask: NDArray[np.uint16], fringe: F4) -> float:
    """Factor by which a fringe frame is seen in a sky (BadFrame when nothing can be fitted)."""
    step = max(1, int((sci.size / _ENOUGH_PIXELS) ** 0.5))
    part = (slice(step // 2, None, step), slice(step // 2, None, step))
    good = (mask[part] == 0) & np.isfinite(fringe[part])
    y, x = np.nonzero(good)
    if y.size < _LEAST_PIXELS:
        raise BadFrame(f"only {y.size} good pixels to fit a fringe frame to")
    rows, columns = good.shape
    pattern = fringe[part][good].astype(np.float64)
    spread = pattern.std()
    if not spread > 0:
        raise BadFrame("the fringe frame is flat")
    pattern = (pattern - pattern.mean()) / spread
    terms = np.stack([np.ones(y.size), x / columns - 0.5, y / rows - 0.5, pattern], axis=1)
    sky = sci[part][good].astype(np.float64)
    kept = np.abs(sky - np.median(sky)) <= 5 * clipped(sky)[1] + 1e-6
    for _ in range(_ROUNDS):
        fit = np.linalg.lstsq(terms[kept], sky[kept], rcond=None)[0]
        residual = sky - terms @ fit
        centre, sigma, _ = clipped(residual[kept])
        inside = np.abs(residual - centre) <= _WIDTH * sigma + 1e-6
        if inside.sum() < _LEAST_PIXELS or (inside == kept).all():
            break
        kept = inside
    return float(fit[3] / spread)
