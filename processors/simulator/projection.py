"""The gnomonic projection and its linear detector coordinates, as FITS WCS writes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TanWcs:
    """A RA---TAN/DEC--TAN solution.

    Attributes
    ----------
    crval : tuple of float
        RA and Dec of the reference point, degrees.
    crpix : tuple of float
        Its pixel, counted from 1 at the centre of the first pixel, in the raw image.
    cd : tuple of float
        CD1_1, CD1_2, CD2_1, CD2_2 in degrees per pixel.
    """

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: tuple[float, float, float, float]

    def to_pixels(self, ra: Array, dec: Array) -> tuple[Array, Array]:
        """Pixels (x, y), from 1, of positions in degrees."""
        xi, eta = to_plane(ra, dec, *self.crval)
        a, b, c, d = self.cd
        determinant = a * d - b * c
        x = self.crpix[0] + (d * xi - b * eta) / determinant
        y = self.crpix[1] + (a * eta - c * xi) / determinant
        return x, y

    def to_sky(self, x: Array, y: Array) -> tuple[Array, Array]:
        """RA and Dec in degrees of pixels counted from 1."""
        u, v = x - self.crpix[0], y - self.crpix[1]
        a, b, c, d = self.cd
        return from_plane(a * u + b * v, c * u + d * v, *self.crval)


def to_plane(ra: Array, dec: Array, ra0: float, dec0: float) -> tuple[Array, Array]:
    """Standard coordinates (xi, eta) in degrees (Calabretta & Greisen 2002, A&A 395, 1077, sec. 5.1.3)."""
    alpha, delta, delta0 = np.radians(ra - ra0), np.radians(dec), np.radians(dec0)
    cosine = np.sin(delta) * np.sin(delta0) + np.cos(delta) * np.cos(delta0) * np.cos(alpha)
    xi = np.cos(delta) * np.sin(alpha) / cosine
    eta = (np.sin(delta) * np.cos(delta0) - np.cos(delta) * np.sin(delta0) * np.cos(alpha)) / cosine
    return np.degrees(xi), np.degrees(eta)


def from_plane(xi: Array, eta: Array, ra0: float, dec0: float) -> tuple[Array, Array]:
    """RA and Dec in degrees of standard coordinates in degrees: the inverse of `to_plane`."""
    x, y, delta0 = np.radians(xi), np.radians(eta), np.radians(dec0)
    below = np.cos(delta0) - y * np.sin(delta0)
    alpha = np.arctan2(x, below)
    delta = np.arctan2(np.sin(delta0) + y * np.cos(delta0), np.hypot(x, below))
    return (ra0 + np.degrees(alpha)) % 360, np.degrees(delta)
