"""Stars: a synthetic catalogue of a field and their light on a detector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.simulator.projection import Array, from_plane
from processors.simulator.seeds import Stream, generator
from processors.simulator.sky import BANDS

Image = npt.NDArray[np.float32]

MOFFAT_BETA: Final = 3.0
BRIGHTEST: Final = 12.5
FAINTEST: Final = 23.5
PER_SQUARE_DEGREE: Final = 60_000.0  # to the faintest, a field at low galactic latitude
SLOPE: Final = 0.30  # of log10 N(<m): a power law in flux
_EDGE_E: Final = 0.03  # a star's image ends where it falls below this many electrons per pixel


@dataclass(frozen=True, slots=True)
class Field:
    """A catalogue: positions in degrees (ICRS) and magnitudes (stars x bands, in the order of `BANDS`)."""

    ra: Array
    dec: Array
    magnitudes: Array

    def magnitude(self, band: str) -> Array:
        """Magnitudes in a band."""
        return np.asarray(self.magnitudes[:, list(BANDS).index(band)])


@dataclass(frozen=True, slots=True)
class Psf:
    """A Moffat image of a star: full width at half maximum in pixels and ellipticity components."""

    fwhm_px: float
    e1: float
    e2: float

    @property
    def alpha(self) -> float:
        """Scale of the profile (1 + (r/alpha)^2)^-beta in pixels (Moffat 1969, A&A 3, 455)."""
        return self.fwhm_px / (2 * math.sqrt(2 ** (1 / MOFFAT_BETA) - 1))

    @property
    def peak(self) -> float:
        """Fraction of a star's light in the pixel on which it is centred, taken at its centre."""
        return (MOFFAT_BETA - 1) / (math.pi * self.alpha**2)


@lru_cache(maxsize=4)
def star_field(seed: int, field: int, ra: float, dec: float, radius_deg: float, standard: float | None) -> Field:
    """The catalogue of a field: a square of `radius_deg` about its centre, and a standard star there if asked for.

    Numbers follow a power law in flux, colours a broad locus. `standard` is the r magnitude of the star at the centre.
    """
    rng = generator(Stream.FIELD, seed, field)
    count = int(rng.poisson(PER_SQUARE_DEGREE * (2 * radius_deg) ** 2))
    xi, eta = rng.uniform(-radius_deg, radius_deg, (2, count))
    red = BRIGHTEST + np.log10(1 + rng.random(count) * (10 ** (SLOPE * (FAINTEST - BRIGHTEST)) - 1)) / SLOPE
    colour = np.clip(rng.normal(0.65, 0.3, count), -0.2, 1.6)
    if standard is not None:
        xi, eta = np.append(xi, 0.0), np.append(eta, 0.0)
        red, colour = np.append(red, standard), np.append(colour, 0.3)
    ra_all, dec_all = from_plane(xi, eta, ra, dec)
    steps = {"g": 1.0, "r": 0.0, "i": -0.42, "z": -0.62, "Y": -0.70}
    magnitudes = np.stack([red + steps[band] * colour for band in BANDS], axis=1)
    return Field(np.round(ra_all, 8), np.round(dec_all, 8), np.round(magnitudes, 4))


def add_stars(image: Image, x: Array, y: Array, flux: Array, psf: Psf) -> None:
    """Add stars of total `flux` (electrons) at pixels (x, y), from 0, to an image of electrons, in place.

    Each is a Moffat profile of beta 3, stretched by the ellipticity at equal area, taken at the pixel centres and cut
    where it fades below 0.03 electrons (never nearer than three times the FWHM: 99 % of the light).
    """
    determinant = 1 - psf.e1**2 - psf.e2**2
    a, b, c = (1 - psf.e1) ** 2 + psf.e2**2, -4 * psf.e2, (1 + psf.e1) ** 2 + psf.e2**2
    norm = determinant * psf.alpha**2
    height, width = image.shape
    for x0, y0, total in zip(x, y, flux, strict=True):
        peak = total * psf.peak
        reach = psf.alpha * math.sqrt(max((peak / _EDGE_E) ** (1 / MOFFAT_BETA) - 1, 0.0))
        half = math.ceil(max(reach, 3 * psf.fwhm_px))
        left, right = max(0, round(x0) - half), min(width, round(x0) + half + 1)
        low, high = max(0, round(y0) - half), min(height, round(y0) + half + 1)
        if left >= right or low >= high:
            continue
        dx = (np.arange(left, right) - x0)[None, :]
        dy = (np.arange(low, high) - y0)[:, None]
        base = 1 + (a * dx * dx + b * dx * dy + c * dy * dy) / norm
        image[low:high, left:right] += peak / (base * base * base)
