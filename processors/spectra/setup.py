"""What must be known of a spectrograph before a frame of it becomes a spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from processors.errors import BadInstrument


@dataclass(frozen=True, slots=True)
class SpectrographSetup:
    """A slit spectrograph with one disperser, as it is binned; pixels of the trimmed detector, from 0.

    Attributes
    ----------
    dispersion_axis : `x` where wavelength runs along the columns' numbers, `y` where it runs along the rows'
    dispersion_a_px : rough dispersion, Å per pixel, negative where the wavelength falls; None: find it blind
    dispersion_tolerance : by how much the dispersion at the centre may differ, as a fraction
    blind_range_a_px : dispersions to look through without a rough one, of either sign
    centre_a, centre_tolerance_a : rough wavelength at the centre of the detector; None: anywhere in the line list
    lamps : the ions of the arc lamp (`He`, `Ne`, `Ar`, …)
    order : highest order of the wavelength polynomial
    rms_limit_px : a wavelength solution worse than this is refused
    slit : the pixels across the dispersion that the slit lights, end excluded; None: all
    """

    dispersion_axis: Literal["x", "y"]
    lamps: tuple[str, ...]
    dispersion_a_px: float | None = None
    dispersion_tolerance: float = 0.1
    blind_range_a_px: tuple[float, float] = (0.5, 8.0)
    centre_a: float | None = None
    centre_tolerance_a: float = 500.0
    order: int = 3
    rms_limit_px: float = 0.3
    slit: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse impossible numbers (BadInstrument)."""
        rough = self.dispersion_a_px
        if rough is not None and not (math.isfinite(rough) and rough != 0):
            raise BadInstrument(f"rough dispersion is {rough} Å per pixel")
        low, high = self.blind_range_a_px
        if not 0 < low < high < math.inf:
            raise BadInstrument(f"range of dispersions is {low} to {high} Å per pixel")
        if not (0 < self.dispersion_tolerance < 1 and self.centre_tolerance_a > 0 and self.rms_limit_px > 0):
            raise BadInstrument("tolerances of dispersion (below 1), centre and rms must be above 0")
        if not self.lamps:
            raise BadInstrument("no lamp is named")
        if not 1 <= self.order <= 6:
            raise BadInstrument(f"order of the wavelength polynomial is {self.order}, not 1 to 6")


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """How to find and extract an object; lengths across the slit in units of its FWHM, or in pixels.

    Attributes
    ----------
    threshold : an object stands this many σ above the slit's profile
    aperture_fwhm : half width of the boxcar
    gap_fwhm : the sky begins this far from the trace
    sky_px : width of the sky on either side
    sky_order : order of the polynomial across the slit
    reject : a pixel that stands this many σ out of the profile is a cosmic ray
    """

    threshold: float = 6.0
    aperture_fwhm: float = 1.5
    gap_fwhm: float = 2.5
    sky_px: int = 40
    sky_order: int = 1
    reject: float = 5.0
