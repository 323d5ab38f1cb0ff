"""How sharp an image is: width and ellipticity of its stars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.photometry.sources import Sources
from processors.photometry.stars import axis_shear, select_stars

F8 = NDArray[np.float64]
_TRAILED: Final = 0.5  # an ellipticity above which a width is not the seeing


@dataclass(frozen=True, slots=True)
class Seeing:
    """Image quality from the stars of an image.

    Attributes
    ----------
    fwhm_px, fwhm_arcsec : median full width at half maximum (geometric mean over the axes); arcsec NaN without a scale
    scatter_px : scatter of the stars' FWHM, 1.4826 times the median absolute deviation
    error_px : standard error of the median, 1.2533 scatter / √number
    ellipticity : 1 - b/a of the median shape, which the noise of single stars does not raise
    angle_rad : direction of its long axis in the image, from x towards y, within ± π/2
    number : stars
    reason : why a figure is NaN
    """

    fwhm_px: float
    fwhm_arcsec: float
    scatter_px: float
    error_px: float
    ellipticity: float
    angle_rad: float
    number: int
    reason: str = ""


def measure_seeing(sources: Sources, scale_arcsec: float | None = None) -> Seeing:
    """Seeing from the stars among sources. Too few stars: all NaN, `number` 0.

    Trailed stars (ellipticity above 0.5) have an ellipticity, an angle and a number, but no FWHM.
    """
    selection = select_stars(sources)
    if selection.number == 0:
        return no_seeing(selection.reason)
    stars = sources.take(selection.chosen)
    g = axis_shear(stars.ellipticity)
    return seeing_of(stars.fwhm_px, g * np.cos(2 * stars.theta_rad), g * np.sin(2 * stars.theta_rad), scale_arcsec)


def no_seeing(reason: str) -> Seeing:
    """Nothing measured, and why."""
    nan = math.nan
    return Seeing(nan, nan, nan, nan, nan, nan, 0, reason)


def seeing_of(fwhm_px: F8, g1: F8, g2: F8, scale_arcsec: float | None) -> Seeing:
    """Seeing of stars with these widths and shapes, g = (a - b) / (a + b) along and across 2 theta."""
    fwhm = float(np.median(fwhm_px))
    scatter = 1.4826 * float(np.median(np.abs(fwhm_px - fwhm)))
    first, second = float(np.median(g1)), float(np.median(g2))
    g = math.hypot(first, second)
    ellipticity, angle = 2 * g / (1 + g), 0.5 * math.atan2(second, first)
    if ellipticity > _TRAILED:
        reason = f"trailed: ellipticity {ellipticity:.2f} of {fwhm_px.size} stars"
        nan = math.nan
        return Seeing(nan, nan, nan, nan, ellipticity, angle, int(fwhm_px.size), reason)
    arcsec = math.nan if scale_arcsec is None else fwhm * scale_arcsec
    error = math.sqrt(math.pi / 2 / fwhm_px.size) * scatter
    return Seeing(fwhm, arcsec, scatter, error, ellipticity, angle, int(fwhm_px.size))
