"""How well a solution puts the stars of an image on those of a catalogue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from processors.astrometry.pairing import (
    SURE,
    Pairs,
    chance_of_neighbour,
    log10_chance,
    pair,
    vote_for_shift,
)
from processors.astrometry.plane import ImagePlane
from processors.astrometry.stars import Stars

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from processors.catalogue.catalogue import Catalogue

Array = NDArray[np.float64]
_DEEPER: Final = 3  # times as many catalogue stars as stars are looked at, the brightest
_CELL_PX: Final = 2.0
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison of stars and catalogue says of a solution.

    Attributes
    ----------
    stars, references : int
        Stars found on the image, catalogue stars that should be on it.
    matched : int
        Pairs, once the solution is moved, turned and scaled as the stars ask for.
    sure : bool
        That many pairs are no chance (odds below 1e-10).
    offset_arcsec : (float, float)
        East and north from where the solution puts the middle of the image to where it is.
    rotation_deg : float
        By which the sky is turned on the image against the solution, from x to y.
    scale : float
        True pixel scale over that of the solution.
    rms_arcsec, rms_px : float
        Distance of pairs per axis, by the solution as it stands.
    best_rms_arcsec : float
        The same once it is moved, turned and scaled.
    log10_chance : float
        Odds that the pairs are chance.
    """

    stars: int
    references: int
    matched: int
    sure: bool
    offset_arcsec: tuple[float, float]
    rotation_deg: float
    scale: float
    rms_arcsec: float
    rms_px: float
    best_rms_arcsec: float
    log10_chance: float


@dataclass(frozen=True, slots=True)
class References:
    """Catalogue stars on and around an image, brightest first: offsets on its plane in pixels of its middle."""

    u: Array
    v: Array
    on_image: int


def nearby(plane: ImagePlane, catalogue: Catalogue, stars: int, margin_px: float) -> References:
    """The brightest catalogue stars on the image and `margin_px` around it, no more than the stars can ask for."""
    if catalogue.magnitudes:
        catalogue = catalogue.brightest_first()
    x, y, index = plane.find(catalogue.ra_deg, catalogue.dec_deg, margin_px)
    order = np.argsort(index)
    x, y, index = x[order], y[order], index[order]
    rows, columns = plane.shape
    inside = (x > -0.5) & (y > -0.5) & (x < columns - 0.5) & (y < rows - 0.5)
    on_image = int(inside.sum())
    keep = min(on_image, _DEEPER * max(stars, 20))
    if on_image > keep:  # as deep as that on the image, and as deep around it
        last = int(np.flatnonzero(inside)[keep - 1]) + 1
        index, on_image = index[:last], keep
    u, v = plane.to_pixels(*plane.tangent.project(catalogue.ra_deg[index], catalogue.dec_deg[index]))
    return References(u, v, on_image)


def flat(plane: ImagePlane, stars: Stars) -> tuple[Array, Array]:
    """Offsets of stars on the plane, in pixels of the middle of the image."""
    return plane.to_pixels(*plane.forward(stars.x, stars.y))


def compare(
    wcs: WCS, shape: tuple[int, int], stars: Stars, catalogue: Catalogue, search_px: float, radius_px: float = 3.0
) -> Agreement:
    """Match the stars of an image with a catalogue by a solution, which may be off by `search_px` and turned a little.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    radius_px : float
        How far stars of a pair may be apart, once the solution is moved, turned and scaled.
    """
    plane = ImagePlane.of(wcs, shape)
    known = nearby(plane, catalogue, len(stars), search_px)
    u, v = flat(plane, stars)
    du, dv = vote_for_shift(u, v, known.u, known.v, max(search_px, _CELL_PX), _CELL_PX)
    factor, offset = 1 + 0j, complex(du, dv)
    w = known.u + 1j * known.v
    pairs, radius = Pairs(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)), 2 * radius_px
    for turn in range(_ROUNDS):
        moved = factor * w + offset
        pairs = pair(u, v, moved.real, moved.imag, radius)
        if len(pairs) < 3 or turn == _ROUNDS - 1:
            break
        factor, offset = _similarity(w[pairs.reference], (u + 1j * v)[pairs.star])
        radius = radius_px
    trials = max(1.0, (2 * search_px / _CELL_PX) ** 2)
    odds = odds_of(len(pairs), len(stars), known.on_image, shape, radius) + math.log10(trials)
    misses = (u + 1j * v)[pairs.star] - w[pairs.reference]
    return _agreement(plane, (len(stars), known.on_image), pairs, misses, (factor, offset), min(odds, 0.0))


def residuals(plane: ImagePlane, stars: Stars, catalogue: Catalogue, radius_px: float) -> tuple[int, float]:
    """Number of pairs no farther apart than `radius_px` by a solution as it stands, and their distance per axis, px."""
    known = nearby(plane, catalogue, len(stars), radius_px)
    pairs = pair(*flat(plane, stars), known.u, known.v, radius_px)
    return len(pairs), float(np.sqrt((pairs.distance**2).mean() / 2)) if len(pairs) else math.inf


def _similarity(w: NDArray[np.complex128], z: NDArray[np.complex128]) -> tuple[complex, complex]:
    """Factor and offset of z = factor * w + offset by least squares."""
    dw, dz = w - w.mean(), z - z.mean()
    spread = float((np.abs(dw) ** 2).sum())
    factor = complex((dz * dw.conj()).sum() / spread) if spread > 0 else 1 + 0j
    return factor, complex(z.mean() - factor * w.mean())


def _agreement(
    plane: ImagePlane,
    counts: tuple[int, int],
    pairs: Pairs,
    misses: NDArray[np.complex128],
    similarity: tuple[complex, complex],
    odds: float,
) -> Agreement:
    scale = plane.scale_deg * 3600
    factor, offset = similarity
    rms = float(np.sqrt((np.abs(misses) ** 2).mean() / 2)) if len(pairs) else math.nan
    best = float(np.sqrt((pairs.distance**2).mean() / 2)) if len(pairs) else math.nan
    middle = -offset / factor  # what of the catalogue's plane lies on the middle of the image
    east, north = plane.cd @ np.array([middle.real, middle.imag]) * 3600
    return Agreement(
        *counts, len(pairs), odds < SURE, (float(east), float(north)),
        float(np.degrees(np.angle(factor))), 1 / abs(factor), rms * scale, rms, best * scale, odds,
    )  # fmt: skip


def odds_of(matched: int, stars: int, references: int, shape: tuple[int, int], radius: float) -> float:
    """log10 of the odds that so many pairs are chance, seen from the shorter list."""
    fewer, more = sorted((stars, references))
    return log10_chance(min(matched, fewer), fewer, chance_of_neighbour(more, float(shape[0] * shape[1]), radius))
