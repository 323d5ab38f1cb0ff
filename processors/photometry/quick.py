"""Seeing and sky of a detector within tens of milliseconds, from a few hundred bright stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.photometry.moments import measure_shapes
from processors.photometry.peaks import Peaks, find_peaks, isolated, spread
from processors.photometry.seeing import Seeing, no_seeing, seeing_of
from processors.photometry.sky import EVERY_BIT, NO_NOISE, Sky, measure_sky
from processors.photometry.stars import FEWEST_STARS, stellar_locus

F4 = NDArray[np.float32]
_SIGMAS: Final = (30.0, 10.0)  # heights of peaks that are looked for, one after the other until there are enough
_ENOUGH: Final = 100
_ALONE_PX: Final = 12.0
_CELLS: Final = 8
_EACH: Final = 6  # stars of a cell


@dataclass(frozen=True, slots=True)
class QuickLook:
    """Seeing and sky of an image."""

    seeing: Seeing
    sky: Sky


def quick_look(
    sci: F4, mask: NDArray[np.uint16] | None = None, scale_arcsec: float | None = None, refused: np.uint16 = EVERY_BIT
) -> QuickLook:
    """Seeing and sky from at most six isolated bright stars in each of 8 x 8 cells of an image, with numpy alone.

    Whatever cannot be measured is NaN with number 0 and a reason.

    Parameters
    ----------
    sci : (rows, columns) float32, e-; raw counts do too (the sky is then in their unit), if `mask` tells what is
        saturated
    refused : bits of the mask that make a pixel unusable; by default any
    """
    sky = measure_sky(sci, mask, refused)
    if sky.number == 0:
        return QuickLook(no_seeing(sky.reason), sky)
    if not sky.sigma_e > 0:
        return QuickLook(no_seeing(NO_NOISE), sky)
    peaks = find_peaks(sci, mask, sky, _SIGMAS[0], refused)
    if peaks.number < _ENOUGH:
        peaks = find_peaks(sci, mask, sky, _SIGMAS[1], refused)
    alone = peaks.take(isolated(peaks, _ALONE_PX))
    chosen = alone.take(spread(alone, (sci.shape[0], sci.shape[1]), _CELLS, _EACH))
    if chosen.number < FEWEST_STARS:
        crowded = "crowded or trailed: " if peaks.number >= 2 * FEWEST_STARS else ""
        return QuickLook(no_seeing(f"{crowded}{chosen.number} of {peaks.number} bright peaks are alone"), sky)
    return QuickLook(_seeing(sci, mask, refused, chosen, scale_arcsec), sky)


def _seeing(
    sci: F4, mask: NDArray[np.uint16] | None, refused: np.uint16, peaks: Peaks, scale_arcsec: float | None
) -> Seeing:
    plane = np.zeros((0, 0), np.uint16) if mask is None else mask
    x, y = peaks.column.astype(np.float64), peaks.row.astype(np.float64)
    shapes = measure_shapes(sci, plane, x, y, np.full(x.size, 1.5), peaks.sky_e.astype(np.float64), refused)
    fine = np.isfinite(shapes.fwhm_px)
    xx, xy, yy = shapes.xx[fine], shapes.xy[fine], shapes.yy[fine]
    # (a - b) / (a + b) as components, from the moments (Bernstein & Jarvis 2002, equation 2.6)
    size = xx + yy + 2 * np.sqrt(xx * yy - xy * xy)
    g1, g2, fwhm = (xx - yy) / size, 2 * xy / size, shapes.fwhm_px[fine]
    stars, _ = stellar_locus(fwhm, g1, g2)
    if stars.sum() < FEWEST_STARS:
        return no_seeing(f"{int(stars.sum())} stars of one size among {peaks.number} bright peaks")
    return seeing_of(fwhm[stars], g1[stars], g2[stars], scale_arcsec)
