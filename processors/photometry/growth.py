"""How a star's light grows with the aperture, and what an aperture misses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processors.photometry.background import Background, some_hidden
from processors.photometry.kron import Fluxes, circle_fluxes
from processors.photometry.sky import check_planes
from processors.photometry.sources import Sources
from processors.photometry.stars import FEWEST_STARS, select_stars

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
_RADII: Final = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # of the stars' FWHM
_LEAST_SNR: Final = 100.0
_NEIGHBOUR: Final = 0.02  # a fainter neighbour does not hurt


@dataclass(frozen=True, slots=True)
class GrowthCurve:
    """Share of the light within `radius_px`, 1 at the last; `scatter` of the stars about it; `number` of stars."""

    radius_px: F8
    share: F8
    scatter: F8
    number: int
    reason: str = ""

    def correction(self, radius_px: float) -> float:
        """Factor from the flux in an aperture of this radius to that in the largest; NaN outside the radii."""
        if self.number == 0:
            return math.nan
        return 1 / float(np.interp(radius_px, self.radius_px, self.share, left=math.nan, right=math.nan))


def measure_growth(
    sci: F4,
    var: F4,
    mask: NDArray[np.uint16] | None,
    sky: Background,
    sources: Sources,
    radii_px: Sequence[float] | None = None,
) -> GrowthCurve:
    """Median curve of growth of bright, lonely stars (Stetson 1990, PASP 102, 932, without its model).

    A star counts when no source with more than 2 % of its light lies within the largest radius and a half, and no
    aperture of it touches the edge or a masked pixel. By default the radii go to five times the FWHM, where 1 % of a
    Moffat profile of β = 3 is still missing. Too few stars: NaN with number 0 and the reason.
    """
    check_planes(sci, variance=var, mask=mask)
    selection = select_stars(sources, _LEAST_SNR)
    if selection.number == 0:
        return _nothing(selection.reason)
    fwhm = float(np.median(sources.fwhm_px[selection.chosen]))
    radii = np.array(sorted(radii_px) if radii_px is not None else [r * fwhm for r in _RADII])
    stars = sources.take(selection.chosen & _lonely(sources, 1.5 * radii[-1]))
    image, hidden = sci - sky.level_map, some_hidden(sci, mask)
    if hidden is not None:
        image[hidden] = 0
    measured = [circle_fluxes(image, var, hidden, stars.x, stars.y, radius) for radius in radii]
    fluxes = np.array([each.flux_e for each in measured])
    clean = (fluxes[-1] > 0) & ~np.any([each.flags != 0 for each in measured], axis=0)
    number = int(clean.sum())
    if number < FEWEST_STARS:
        return _nothing(f"{number} of {selection.number} stars are alone within {1.5 * radii[-1]:.0f} px")
    curves = fluxes[:, clean] / fluxes[-1, clean]
    share = np.median(curves, axis=1)
    scatter = 1.4826 * np.median(np.abs(curves - share[:, None]), axis=1)
    return GrowthCurve(radii, share, scatter, number)


def total_fluxes(
    sci: F4,
    var: F4,
    mask: NDArray[np.uint16] | None,
    sky: Background,
    sources: Sources,
    growth: GrowthCurve,
    radius_px: float,
) -> Fluxes:
    """Light of sources in circles of a radius, and its error, both times the stars' `GrowthCurve.correction`.

    NaN for all where the curve has no stars or does not reach the radius.
    """
    check_planes(sci, variance=var, mask=mask)
    image, hidden = sci - sky.level_map, some_hidden(sci, mask)
    if hidden is not None:
        image[hidden] = 0
    within, factor = circle_fluxes(image, var, hidden, sources.x, sources.y, radius_px), growth.correction(radius_px)
    return Fluxes(within.flux_e * factor, within.error_e * factor, within.flags)


def _lonely(sources: Sources, radius_px: float) -> NDArray[np.bool_]:
    alone = np.ones(len(sources), np.bool_)
    places = np.stack([sources.x, sources.y], axis=1)
    for a, b in cKDTree(places).query_pairs(radius_px):
        alone[a] &= sources.flux_e[b] < _NEIGHBOUR * sources.flux_e[a]
        alone[b] &= sources.flux_e[a] < _NEIGHBOUR * sources.flux_e[b]
    return alone


def _nothing(reason: str) -> GrowthCurve:
    return GrowthCurve(np.empty(0), np.empty(0), np.empty(0), 0, reason)
