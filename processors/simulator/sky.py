"""The brightness of the sky and the throughput of atmosphere, telescope and detector, per band."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PIXEL_SCALE_ARCSEC: Final = 0.263


@dataclass(frozen=True, slots=True)
class Band:
    """One filter.

    Attributes
    ----------
    wavelength_nm : float
        Effective wavelength.
    zero_point : float
        Magnitude of a star that gives 1 e-/s above the atmosphere.
    extinction : float
        Magnitudes per airmass.
    sky : float
        Dark sky at the zenith, mag/arcsec2.
    prnu : float
        Pixel response non-uniformity relative to the g band (blue light stops nearer the surface and shows more of it).
    card : str
        Value of the FILTER card.
    """

    wavelength_nm: float
    zero_point: float
    extinction: float
    sky: float
    prnu: float
    card: str


# Those of a 4-m telescope with thick CCDs (DECam: Flaugher et al. 2015, AJ 150, 150; Neilsen et al. 2016).
BANDS: Final[dict[str, Band]] = {
    "g": Band(473.0, 26.55, 0.18, 22.0, 1.00, "g SIM c0001 4730.0 1520.0"),
    "r": Band(642.0, 26.58, 0.10, 21.0, 0.85, "r SIM c0002 6420.0 1480.0"),
    "i": Band(784.0, 26.40, 0.07, 19.9, 0.75, "i SIM c0003 7840.0 1470.0"),
    "z": Band(926.0, 26.05, 0.06, 18.9, 0.65, "z SIM c0004 9260.0 1520.0"),
    "Y": Band(1009.0, 24.75, 0.06, 18.0, 0.60, "Y SIM c0005 10095.0 1130.0"),
}


def zero_point(band: str, airmass: float, transparency: float) -> float:
    """Magnitude of a star that gives 1 e-/s through this much atmosphere; `transparency` is 1 if photometric."""
    return BANDS[band].zero_point - BANDS[band].extinction * (airmass - 1) + 2.5 * math.log10(transparency)


def sky_rate(band: str, airmass: float) -> float:
    """Sky in e-/s per pixel: airglow brightens with the airmass, which outdoes the extinction.

    The airglow path through a thin shell grows nearly as the airmass X, of which the extinction takes its part
    (Krisciunas & Schaefer 1991, PASP 103, 1033): flux(X) = flux(1) X 10**(-0.4 k (X - 1)).
    """
    this = BANDS[band]
    zenith = PIXEL_SCALE_ARCSEC**2 * 10 ** (0.4 * (this.zero_point - this.sky))
    return float(zenith * airmass * 10 ** (-0.4 * this.extinction * (airmass - 1)))


def stellar_rate(magnitude: float, zero: float) -> float:
    """e-/s of a star of a magnitude, given the zero point of the exposure."""
    return float(10 ** (-0.4 * (magnitude - zero)))
