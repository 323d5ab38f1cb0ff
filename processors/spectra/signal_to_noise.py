"""Signal to noise against wavelength and against magnitude: what the next exposure would give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame, NoCalibration
from processors.spectra.extract import SpectrumFlag
from processors.spectra.reduce_spectrum import Spectrum

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of wavelengths: its limits Å, median signal to noise per pixel of the boxcar, pixels it rests on."""

    low_a: float
    high_a: float
    signal_to_noise: float
    pixels: int


@dataclass(frozen=True, slots=True)
class Depth:
    """What a band holds per pixel of wavelength, medians: `object_e`, `sky_e` in the boxcar, and its `read_var_e2`.

    `magnitude` is the object's, in whatever band it is known.
    """

    object_e: float
    sky_e: float
    read_var_e2: float
    magnitude: float

    def signal_to_noise(self, magnitude: F8, times_longer: float = 1.0) -> F8:
        """Signal to noise per pixel of objects of these magnitudes, in an exposure so many times as long.

        S / √(S + sky + read noise²), one read whatever the time (Howell 2006, *Handbook of CCD Astronomy*, 4.4).
        """
        signal = self.object_e * times_longer * 10 ** (-0.4 * (np.asarray(magnitude, np.float64) - self.magnitude))
        return np.asarray(signal / np.sqrt(signal + self.sky_e * times_longer + self.read_var_e2))

    def limiting_magnitude(self, least: float, times_longer: float = 1.0) -> float:
        """Magnitude of an object with a signal to noise of `least` per pixel: the inverse of the above."""
        noise = self.sky_e * times_longer + self.read_var_e2
        signal = (least**2 + math.sqrt(least**4 + 4 * least**2 * noise)) / 2
        return self.magnitude - 2.5 * math.log10(signal / (self.object_e * times_longer))


def bands(spectrum: Spectrum, width_a: float = 250.0) -> tuple[Band, ...]:
    """Signal to noise in stretches of `width_a`, those with good pixels (NoCalibration without wavelengths)."""
    wavelength, trusted = _trusted(spectrum)
    made = spectrum.extraction
    ratio = made.flux_e / np.sqrt(np.where(trusted, made.var_e2, 1))
    number = np.floor(wavelength / width_a).astype(np.intp)
    found = []
    for at in np.unique(number[trusted]):
        chosen = trusted & (number == at)
        middle = float(np.median(ratio[chosen]))
        found.append(Band(float(at * width_a), float((at + 1) * width_a), middle, int(chosen.sum())))
    return tuple(found)


def depth(spectrum: Spectrum, magnitude: float, band_a: tuple[float, float]) -> Depth:
    """Measure what a signal to noise against magnitude rests on, from an object of known magnitude.

    Raises
    ------
    NoCalibration
        The spectrum has no wavelengths.
    BadFrame
        The magnitude is no number, or the band has no good pixel or no light of the object.
    """
    wavelength, trusted = _trusted(spectrum)
    chosen = trusted & (wavelength >= band_a[0]) & (wavelength <= band_a[1])
    made = spectrum.extraction
    signal = float(np.median(made.flux_e[chosen])) if chosen.any() else 0.0
    if not (math.isfinite(magnitude) and signal > 0):
        raise BadFrame(f"no light of an object of magnitude {magnitude} between {band_a[0]:g} and {band_a[1]:g} Å")
    sky = max(float(np.median(made.sky_e[chosen])), 0.0)
    # what the variance holds beyond object and sky is read noise and the error of the sky's fit
    beyond = float(np.median((made.var_e2 - np.maximum(made.flux_e, 0))[chosen])) - sky
    return Depth(signal, sky, max(beyond, spectrum.read_var_e2), magnitude)


def _trusted(spectrum: Spectrum) -> tuple[F8, NDArray[np.bool_]]:
    if spectrum.wavelength_a is None:
        raise NoCalibration("the spectrum has no wavelengths")
    bad = np.uint8(SpectrumFlag.NO_DATA | SpectrumFlag.SATURATED)
    return spectrum.wavelength_a, ((spectrum.extraction.flags & bad) == 0) & (spectrum.extraction.var_e2 > 0)
