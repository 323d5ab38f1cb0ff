"""Find or improve the solution of an image with a reference catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from processors.astrometry.agreement import Agreement, compare, flat, nearby, residuals
from processors.astrometry.pattern import find_pattern
from processors.astrometry.plane import ImagePlane, Tangent, middle
from processors.astrometry.refine import Correction, Refiner
from processors.astrometry.represent import HIGHEST, Form, Written, represent
from processors.astrometry.stars import Stars
from processors.errors import NoSolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.wcs import WCS

    from processors.catalogue.catalogue import Catalogue

Array = NDArray[np.float64]
FEWEST: Final = 6  # pairs
_REPRESENTED_PX: Final = 0.002  # what the cards may differ from the fit
_MARGIN_PX: Final = 10.0
_MORE: Final = 1.02  # times as many pairs as the new solution: the given one is better whatever its error
_BETTER: Final = 0.99  # of the error: what is gained must be worth a change


@dataclass(frozen=True, slots=True)
class Guess:
    """Where an image may be: RA and Dec of its middle (degrees), arcsec per pixel, and the fraction it may err by."""

    ra_deg: float
    dec_deg: float
    scale_arcsec: float
    scale_tolerance: float = 0.1


@dataclass(frozen=True, slots=True)
class Solution:
    """Outcome of a fit.

    Attributes
    ----------
    written : Written or None
        The new solution; None where the given one is as good or better and stays.
    order : int
        Degree of the correction that predicts best: 0 a shift, 1 linear, …; -1 none.
    agreement : Agreement
        Of the solution that holds now.
    given : Agreement or None
        Of the one that was given.
    predicted_rms_arcsec : float
        Error per axis for stars that were left out of the fit in turn.
    """

    written: Written | None
    order: int
    agreement: Agreement
    given: Agreement | None
    predicted_rms_arcsec: float

    @property
    def kept(self) -> bool:
        """The given solution stays."""
        return self.written is None


def fit_solution(
    stars: Stars,
    shape: tuple[int, int],
    catalogue: Catalogue,
    start: WCS | Guess,
    form: Form = "sip",
    most_order: int = 4,
    search_arcsec: float = 300.0,
) -> Solution:
    """Fit the solution of an image.

    A solution at hand is taken as it is where the stars agree with it but for a shift and a small turn, else the image
    is looked for by patterns of stars: at any rotation, mirrored or not, within `search_arcsec`. Then a polynomial
    correction is fitted, of the degree that predicts left-out stars best, with five pairs per coefficient at least. A
    solution at hand that has more pairs, or no larger error, stays.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    catalogue : Catalogue
        Must reach `search_arcsec` farther than the image.
    start : astropy.wcs.WCS or Guess
        The solution at hand, or a guess.
    form : tan, sip or tpv
        How the solution is written (plain TAN where that is the same).

    Raises
    ------
    NoSolution
        Too few stars, or none of the catalogue's patterns in them.
    """
    if len(stars) < FEWEST:
        raise NoSolution(f"{len(stars)} stars on the image, {FEWEST} are needed")
    given, plane = _begin(stars, shape, catalogue, start, search_arcsec)
    known = nearby(plane, catalogue, len(stars), _MARGIN_PX)
    correction = Refiner(stars.x, stars.y, *flat(plane, stars), known, shape).fit(most_order)
    written = _corrected(plane, correction, form)
    agreement = compare(written.wcs, shape, stars, catalogue, 0.0, correction.radius_px)
    if not agreement.sure or agreement.matched < FEWEST:
        raise NoSolution(f"{agreement.matched} of {agreement.stars} stars match: that may be chance")
    scale = plane.scale_deg * 3600
    if given is not None and not isinstance(start, Guess):
        pairs, rms_px = residuals(ImagePlane.of(start, shape), stars, catalogue, correction.radius_px)
        worse = pairs > _MORE * len(correction.pairs) + 1
        if worse or (pairs >= 0.9 * len(correction.pairs) and correction.predicted_px > _BETTER * rms_px):
            return Solution(None, -1, given, given, rms_px * scale)
    return Solution(written, correction.order, agreement, given, correction.predicted_px * scale)


def _begin(
    stars: Stars, shape: tuple[int, int], catalogue: Catalogue, start: WCS | Guess, search_arcsec: float
) -> tuple[Agreement | None, ImagePlane]:
    """How the given solution agrees, and a solution that is right but for a few pixels."""
    if isinstance(start, Guess):
        tangent = Tangent(start.ra_deg, start.dec_deg)
        scale, tolerance = start.scale_arcsec / 3600, start.scale_tolerance
        return None, _searched(stars, shape, catalogue, tangent, scale, tolerance, search_arcsec, True)
    plane = ImagePlane.of(start, shape)
    search_px = search_arcsec / 3600 / plane.scale_deg
    given = compare(start, shape, stars, catalogue, min(search_px, 0.5 * max(shape)))
    if given.sure:
        return given, _moved(plane, given)
    return given, _searched(stars, shape, catalogue, plane.tangent, plane.scale_deg, 0.1, search_arcsec, plane.mirrored)


def _searched(
    stars: Stars,
    shape: tuple[int, int],
    catalogue: Catalogue,
    tangent: Tangent,
    scale_deg: float,
    tolerance: float,
    search_arcsec: float,
    mirror_first: bool,
) -> ImagePlane:
    if catalogue.magnitudes:
        catalogue = catalogue.brightest_first()
    references = np.stack(tangent.project(catalogue.ra_deg, catalogue.dec_deg), axis=1)
    references = references[np.isfinite(references).all(axis=1)]
    search = search_arcsec / 3600
    if not len(references):
        raise NoSolution(
            f"the catalogue has no stars within {search_arcsec:g} arcsec of the image, about "
            f"{tangent.ra_deg:.4f} {tangent.dec_deg:+.4f}"
        )
    found = find_pattern(stars.points, references, shape, scale_deg, tolerance, search, mirror_first)
    if found is None:
        raise NoSolution(
            f"no pattern of the {len(references)} catalogue stars among the {len(stars)} stars of the image "
            f"(within {search_arcsec:g} arcsec of {tangent.ra_deg:.4f} {tangent.dec_deg:+.4f}, "
            f"{scale_deg * 3600:.4g} arcsec/px)"
        )
    offset, cd = np.array([found.offset.real, found.offset.imag]), found.matrix

    def sky_of(x: Array, y: Array) -> tuple[Array, Array]:
        return tangent.deproject(*(offset[:, None] + cd @ np.stack([x, y])))

    return ImagePlane.of(_centred(sky_of, shape, "sip").wcs, shape)


def _moved(plane: ImagePlane, given: Agreement) -> ImagePlane:
    """The given solution with the shift, turn and scale that the stars ask for; its distortion goes along."""
    factor = np.exp(1j * np.radians(given.rotation_deg)) / given.scale
    shift = np.array(given.offset_arcsec)[:, None] / 3600

    def sky_of(x: Array, y: Array) -> tuple[Array, Array]:
        u, v = plane.to_pixels(*plane.forward(x, y))
        turned = (u + 1j * v) / factor
        return plane.tangent.deproject(*(shift + plane.cd @ np.stack([turned.real, turned.imag])))

    return ImagePlane.of(_centred(sky_of, plane.shape, "sip").wcs, plane.shape)


def _corrected(plane: ImagePlane, correction: Correction, form: Form) -> Written:
    """Cards of a solution with its correction, the tangent point in the middle of the image."""

    def sky_of(x: Array, y: Array) -> tuple[Array, Array]:
        xi, eta = np.stack(plane.forward(x, y)) + plane.cd @ correction.at(x, y)
        return plane.tangent.deproject(xi, eta)

    return _centred(sky_of, plane.shape, form)


def _centred(sky_of: Callable[[Array, Array], tuple[Array, Array]], shape: tuple[int, int], form: Form) -> Written:
    """A solution given as a function to RA and Dec, the tangent point in the middle of the image.

    The way through the sky turns axes along with the tangent point, which matters near the poles. Of the lowest degree
    that is as good as exact, or the highest that the form can hold.
    """
    x, y = middle(shape)
    ra, dec = sky_of(np.array([x]), np.array([y]))
    tangent = Tangent(float(ra[0]), float(dec[0]))

    def plane_of(px: Array, py: Array) -> tuple[Array, Array]:
        return tangent.project(*sky_of(px, py))

    written = represent(plane_of, shape, tangent, (x, y), form, 1)
    while written.residual_px > _REPRESENTED_PX and written.order < HIGHEST[form]:
        written = represent(plane_of, shape, tangent, (x, y), form, written.order + 1)
    return written
