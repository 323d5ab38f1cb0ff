"""A spectrum against a standard star's: a ratio, no flux calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame, NoCalibration
from processors.spectra.extract import SpectrumFlag
from processors.spectra.reduce_spectrum import Spectrum

F8 = NDArray[np.float64]
_LEAST = 5.0  # signal to noise of the standard where a ratio to it means something


@dataclass(frozen=True, slots=True)
class FluxRatio:
    """Count rate of an object over that of a standard, per pixel of the object; ratio and variance are 0 where unknown.

    Extinction is not corrected, so that it is free of the instrument but not of the airmass; where the slits differ,
    so do their losses.
    """

    ratio: F8
    var: F8

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is a ratio."""
        return np.asarray(self.var > 0)

    def fainter_mag(self, chosen: NDArray[np.bool_] | None = None) -> float:
        """By how many magnitudes the object is fainter, from the median over the (chosen) pixels (NoCalibration)."""
        use = self.known if chosen is None else self.known & chosen
        middle = float(np.median(self.ratio[use])) if use.any() else 0.0
        if not middle > 0:
            raise NoCalibration("the object shows no light where its standard does")
        return -2.5 * math.log10(middle)


def flux_ratio(spectrum: Spectrum, exptime_s: float, standard: Spectrum, standard_exptime_s: float) -> FluxRatio:
    """Divide an object's count rate per Å by a standard's at the same wavelengths.

    Raises
    ------
    BadFrame
        An exposure time is not above 0.
    NoCalibration
        One of the spectra has no wavelengths.
    """
    if not (0 < exptime_s < math.inf and 0 < standard_exptime_s < math.inf):
        raise BadFrame(f"exposure times of {exptime_s} s and {standard_exptime_s} s")
    if spectrum.wavelength_a is None or standard.wavelength_a is None:
        raise NoCalibration("a ratio needs the wavelengths of both spectra")
    rate, rate_var, trusted = _rate(spectrum, exptime_s)
    other, other_var, other_trusted = _rate(standard, standard_exptime_s)
    order = np.argsort(standard.wavelength_a)
    place = standard.wavelength_a[order]
    sure = other_trusted & (other > _LEAST * np.sqrt(other_var))
    level, level_var = (np.interp(spectrum.wavelength_a, place, plane[order]) for plane in (other, other_var))
    # a pixel counts if both of the standard's pixels beside it do
    known = np.interp(spectrum.wavelength_a, place, sure[order].astype(np.float64), left=0, right=0) > 0.999
    known &= trusted
    below = np.where(known, level, 1)
    ratio = np.where(known, rate / below, 0)
    return FluxRatio(ratio, np.where(known, (rate_var + ratio**2 * level_var) / below**2, 0))


def _rate(spectrum: Spectrum, exptime_s: float) -> tuple[F8, F8, NDArray[np.bool_]]:
    """e- per second and Å, its variance, and where it can be trusted."""
    made, wavelength = spectrum.extraction, spectrum.wavelength_a
    per = exptime_s * np.abs(np.gradient(np.asarray(wavelength)))
    trusted = (made.flags & np.uint8(SpectrumFlag.NO_DATA | SpectrumFlag.SATURATED)) == 0
    return made.optimal_e / per, made.optimal_var_e2 / per**2, trusted & (made.optimal_var_e2 > 0)
