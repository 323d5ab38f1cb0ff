"""A rendered field of the simulator whose solution is known, for tests of astrometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.plane import ImagePlane
from processors.cards import Header
from processors.catalogue.catalogue import Catalogue
from processors.simulator.projection import TanWcs
from processors.simulator.stars import Psf, add_stars, star_field

SCALE_DEG = 0.263 / 3600


@dataclass(frozen=True)
class Scene:
    """An image of electrons, the stars round it, and how (x, y), from 0, lie on the sky."""

    image: npt.NDArray[np.float32]
    catalogue: Catalogue
    truth: TanWcs
    bend: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[0], self.image.shape[1]

    def sky(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[np.ndarray, np.ndarray]:
        """RA and Dec of pixels from 0."""
        return self.truth.to_sky(*bent(x, y, self.shape, self.bend))

    def worst_px(self, wcs: WCS) -> float:
        """Largest error of a solution on the image, pixels."""
        rows, columns = self.shape
        y, x = (axis.ravel().astype(float) for axis in np.mgrid[0:rows:40j, 0:columns:40j])
        plane = ImagePlane.of(wcs, (rows, columns))
        wanted = plane.to_pixels(*plane.tangent.project(*self.sky(x, y)))
        got = plane.to_pixels(*plane.forward(x, y))
        return float(np.hypot(wanted[0] - got[0], wanted[1] - got[1]).max())


def bent(x: np.ndarray, y: np.ndarray, shape: tuple[int, int], bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels from 1 of an undistorted image: a cubic radial distortion of `bend` pixels in the corners."""
    u, v = x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2
    square = (u * u + v * v) / ((shape[0] ** 2 + shape[1] ** 2) / 4)
    grow = 1 + bend * square / (np.hypot(shape[0], shape[1]) / 2)
    return u * grow + (shape[1] + 1) / 2, v * grow + (shape[0] + 1) / 2


def scene(
    seed: int,
    shape: tuple[int, int] = (768, 768),
    bend: float = 0.0,
    flip: bool = False,
    zero_point: float = 31.0,
    place: tuple[float, float] | None = None,
) -> Scene:
    """A field at a random place (or the one given) and rotation; r magnitudes 12.5 to 23.5, background noise of 20 e-.

    The magnitude of 1 e- decides how many of the stars show: of some 190 on 768 x 768 pixels two thirds at 31.
    """
    rng = np.random.default_rng(seed)
    ra, dec = float(rng.uniform(0, 360)), float(rng.uniform(-75, 75))
    ra, dec = (ra, dec) if place is None else place
    angle, sign = rng.uniform(0, 2 * np.pi), 1.0 if flip else -1.0
    c, s = SCALE_DEG * np.cos(angle), SCALE_DEG * np.sin(angle)
    truth = TanWcs((ra, dec), ((shape[1] + 1) / 2, (shape[0] + 1) / 2), (sign * c, -sign * s, s, c))
    field = star_field(seed, 0, ra, dec, 0.15, None)
    magnitude = field.magnitude("r")
    x, y = truth.to_pixels(field.ra, field.dec)
    px, py = x - 1, y - 1
    for _ in range(20):  # where the bent image has the star
        bx, by = bent(px, py, shape, bend)
        px, py = px + x - bx, py + y - by
    near = (px > -20) & (py > -20) & (px < shape[1] + 20) & (py < shape[0] + 20)
    image = np.full(shape, 400.0, np.float32)
    add_stars(image, px[near], py[near], 10 ** (0.4 * (zero_point - magnitude[near])), Psf(3.5, 0.03, -0.02))
    image += rng.normal(0, np.sqrt(image)).astype(np.float32)
    return Scene(image, Catalogue(field.ra, field.dec, {"r": magnitude}), truth, bend)


def header_of(truth: TanWcs) -> dict[str, str | float]:
    """Cards of a plain TAN solution."""
    cards: dict[str, str | float] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    for axis in (0, 1):
        cards |= {f"CRVAL{axis + 1}": truth.crval[axis], f"CRPIX{axis + 1}": truth.crpix[axis]}
    return cards | {f"CD{i}_{j}": truth.cd[2 * i + j - 3] for i in (1, 2) for j in (1, 2)}


def perturbed(
    truth: TanWcs, offset_arcsec: tuple[float, float], turn_deg: float, scale: float = 1.0, flip: bool = False
) -> WCS:
    """The solution, wrong by an offset (east, north), a turn, a scale, a mirror."""
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    cd = turn @ np.array(truth.cd).reshape(2, 2) @ np.diag([-1.0 if flip else 1.0, 1.0])
    ra = truth.crval[0] + offset_arcsec[0] / 3600 / np.cos(np.radians(truth.crval[1]))
    wrong = TanWcs((ra, truth.crval[1] + offset_arcsec[1] / 3600), truth.crpix, tuple(map(float, cd.ravel())))  # type: ignore[arg-type]
    wcs = read_wcs(Header.of(header_of(wrong)))
    assert wcs is not None
    return wcs
