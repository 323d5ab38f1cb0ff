"""The plane that touches the sky at a point: where stars are matched and solutions fitted.

The simulator has a projection of its own, so that its truth does not come out of the code that is tested with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.wcs import WCS

Array = NDArray[np.float64]
_HORIZON = 1e-3  # cosine of the distance from the tangent point, below which a position has no place on the plane


@dataclass(frozen=True, slots=True)
class Tangent:
    """Gnomonic projection at RA and Dec, degrees (Calabretta & Greisen 2002, A&A 395, 1077, sec. 5.1.3)."""

    ra_deg: float
    dec_deg: float

    def project(self, ra: Array, dec: Array) -> tuple[Array, Array]:
        """Standard coordinates (xi, eta), degrees; NaN for what lies on the other half of the sky."""
        alpha, delta, delta0 = np.radians(ra - self.ra_deg), np.radians(dec), np.radians(self.dec_deg)
        cosine = np.sin(delta) * np.sin(delta0) + np.cos(delta) * np.cos(delta0) * np.cos(alpha)
        cosine = np.where(cosine > _HORIZON, cosine, np.nan)
        xi = np.cos(delta) * np.sin(alpha) / cosine
        eta = (np.sin(delta) * np.cos(delta0) - np.cos(delta) * np.sin(delta0) * np.cos(alpha)) / cosine
        return np.degrees(xi), np.degrees(eta)

    def deproject(self, xi: Array, eta: Array) -> tuple[Array, Array]:
        """RA and Dec, degrees, of standard coordinates in degrees."""
        x, y, delta0 = np.radians(xi), np.radians(eta), np.radians(self.dec_deg)
        below = np.cos(delta0) - y * np.sin(delta0)
        ra = self.ra_deg + np.degrees(np.arctan2(x, below))
        return ra % 360, np.degrees(np.arctan2(np.sin(delta0) + y * np.cos(delta0), np.hypot(x, below)))


@dataclass(frozen=True, slots=True)
class ImagePlane:
    """A solution seen on the plane that touches the sky at the middle of the image.

    Attributes
    ----------
    wcs : astropy.wcs.WCS
        The solution.
    shape : (int, int)
        Rows and columns.
    tangent : Tangent
        Where the middle of the image lies.
    cd : (2, 2) float64
        Degrees on the plane per pixel there: [[dxi/dx, dxi/dy], [deta/dx, deta/dy]].
    """

    wcs: WCS
    shape: tuple[int, int]
    tangent: Tangent
    cd: Array

    @classmethod
    def of(cls, wcs: WCS, shape: tuple[int, int]) -> ImagePlane:
        """The plane of a solution; its scale is taken from points 32 pixels apart."""
        x, y = middle(shape)
        ra, dec = wcs.all_pix2world(np.array([x]), np.array([y]), 0)
        tangent = Tangent(float(ra[0]), float(dec[0]))
        step = 16.0
        px, py = x + step * np.array([1.0, -1.0, 0.0, 0.0]), y + step * np.array([0.0, 0.0, 1.0, -1.0])
        xi, eta = tangent.project(*wcs.all_pix2world(px, py, 0))
        cd = np.array([[xi[0] - xi[1], xi[2] - xi[3]], [eta[0] - eta[1], eta[2] - eta[3]]]) / (2 * step)
        return cls(wcs, shape, tangent, cd)

    @property
    def scale_deg(self) -> float:
        """Degrees per pixel in the middle: the square root of a pixel's area."""
        return float(np.sqrt(abs(np.linalg.det(self.cd))))

    @property
    def mirrored(self) -> bool:
        """A mirror image of the plane: true of the usual sky, with east to the left when north is up."""
        return bool(np.linalg.det(self.cd) < 0)

    def cone(self, margin_deg: float = 0.0) -> tuple[float, float, float]:
        """RA and Dec of the middle and the radius of the circle round the image and its margin, degrees."""
        corners = np.array([[-0.5, -0.5], [1.0, -0.5], [-0.5, 1.0], [1.0, 1.0]])
        high = np.array([self.shape[1] - 0.5, self.shape[0] - 0.5])
        xi, eta = self.forward(*np.where(corners > 0, high, corners).T)
        radius = float(np.degrees(np.arctan(np.radians(np.hypot(xi, eta).max()))))
        return self.tangent.ra_deg, self.tangent.dec_deg, radius + margin_deg

    def forward(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Plane (degrees) of pixels, from 0."""
        return self.tangent.project(*self.wcs.all_pix2world(x, y, 0))

    def to_pixels(self, xi: Array, eta: Array) -> tuple[Array, Array]:
        """Offsets on the plane (degrees) as pixels of the middle's scale and orientation."""
        inverse = np.linalg.inv(self.cd)
        return inverse[0, 0] * xi + inverse[0, 1] * eta, inverse[1, 0] * xi + inverse[1, 1] * eta

    def find(self, ra: Array, dec: Array, margin: float = 0.0) -> tuple[Array, Array, NDArray[np.intp]]:
        """Pixels (x, y), from 0, of those positions that fall on the image or `margin` pixels around it, and which.

        Newton's method with the matrix of the middle: it converges wherever distortion changes the scale by less than
        half. What does not come to rest within 1e-4 pixel is left out.
        """
        xi, eta = self.tangent.project(ra, dec)
        x0, y0 = middle(self.shape)
        dx, dy = self.to_pixels(xi, eta)
        rows, columns = self.shape
        wide = margin + 0.25 * max(rows, columns)
        with np.errstate(invalid="ignore"):
            near = (np.abs(dx) < columns / 2 + wide) & (np.abs(dy) < rows / 2 + wide)
        index = np.flatnonzero(near)
        x, y = x0 + dx[index], y0 + dy[index]
        step = np.full(len(index), np.inf)
        for _ in range(30):
            if not (step > 1e-5).any():
                break
            xi_now, eta_now = self.forward(x, y)
            sx, sy = self.to_pixels(xi[index] - xi_now, eta[index] - eta_now)
            x, y, step = x + sx, y + sy, np.hypot(sx, sy)
        low = -0.5 - margin
        with np.errstate(invalid="ignore"):
            inside = (step < 1e-4) & (x >= low) & (y >= low) & (x < columns - low - 1) & (y < rows - low - 1)
        return x[inside], y[inside], index[inside]


def middle(shape: tuple[int, int]) -> tuple[float, float]:
    """Pixel (x, y), from 0, of the middle of an image of (rows, columns)."""
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2
