"""Write a solution as the cards of plain TAN, SIP or TPV: least squares on a grid over the image.

A SIP polynomial is a TPV polynomial of the same degree and the other way round, so between them this is exact but for
rounding. SIP: Shupe et al. 2005, ASP Conf. Ser. 347, 491. TPV: Registry of FITS Conventions (SCAMP's distortion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.plane import Tangent
from processors.card_text import Card
from processors.cards import Header

if TYPE_CHECKING:
    from astropy.wcs import WCS

Array = NDArray[np.float64]
Form = Literal["tan", "sip", "tpv"]
FORMS: Final[tuple[str, ...]] = get_args(Form)
HIGHEST: Final = {"tan": 1, "sip": 9, "tpv": 7}  # degree that a form can hold
_GRID: Final = 31
# number of PVi_j of x^a y^b, for i = 1 (for i = 2 the axes change places); r, r^3, r^5, r^7 have 3, 11, 23, 39
_PV_STARTS: Final = (0, 1, 4, 7, 12, 17, 24, 31)


@dataclass(frozen=True, slots=True)
class Written:
    """Cards of a solution, the solution they give, and how far it lies from what was asked for.

    Attributes
    ----------
    form : str
        tan, sip or tpv.
    order : int
        Degree of the polynomial.
    cards : tuple of Card
        Keywords, values and comments.
    wcs : astropy.wcs.WCS
        The solution read back from the cards.
    residual_px : float
        Largest distance on a grid over the image, pixels.
    """

    form: Form
    order: int
    cards: tuple[Card, ...]
    wcs: WCS
    residual_px: float


def represent(
    plane_of: Callable[[Array, Array], tuple[Array, Array]],
    shape: tuple[int, int],
    tangent: Tangent,
    crpix: tuple[float, float],
    form: Form,
    order: int,
) -> Written:
    """Cards of a solution that is given as a function.

    Parameters
    ----------
    plane_of : function
        From pixels (x, y), from 0, to the plane at `tangent`, degrees.
    shape : (int, int)
        Rows and columns of the image.
    crpix : (float, float)
        The pixel, from 0, that lies on the tangent point.
    order : int
        Degree of the polynomial.
    """
    order = min(order, HIGHEST[form])
    x, y = _grid(shape, _GRID)
    xi, eta = plane_of(x, y)
    size = max(shape) / 2
    dx, dy = (x - crpix[0]) / size, (y - crpix[1]) / size
    terms = exponents(order)[1:]
    both = np.stack([xi, eta], axis=1)
    coefficients = _least_squares(design(dx, dy, terms), both)
    cd = np.array([[coefficients[0, k], coefficients[1, k]] for k in (0, 1)]) / size
    cards = _common(tangent, crpix, cd, form if order > 1 else "tan")
    if order > 1 and form == "sip":
        cards += _sip(coefficients, terms, cd, size, order)
        cards += _sip_inverse(x - crpix[0], y - crpix[1], xi, eta, cd, order)
    elif order > 1:
        u, v = (cd @ np.stack([dx, dy]) * size) / (scale := float(np.abs(cd).max()) * size)
        cards += _tpv(_least_squares(design(u, v, terms), both), terms, scale)
    wcs = read_wcs(Header.of({keyword: value for keyword, value, _ in cards}))
    assert wcs is not None
    x, y = _grid(shape, 2 * _GRID)
    wanted = np.stack(plane_of(x, y)) - np.stack(tangent.project(*wcs.all_pix2world(x, y, 0)))
    residual = float(np.hypot(*(np.linalg.inv(cd) @ wanted)).max())
    return Written(form if order > 1 else "tan", order, tuple(cards), wcs, residual)


def exponents(order: int) -> list[tuple[int, int]]:
    """Powers (of x, of y) of a polynomial, in rising degree: 1, x, y, x^2, xy, y^2, …"""
    return [(degree - b, b) for degree in range(order + 1) for b in range(degree + 1)]


def design(x: Array, y: Array, terms: list[tuple[int, int]]) -> Array:
    """Matrix of a polynomial's terms: (points, terms)."""
    return np.stack([x**a * y**b for a, b in terms], axis=1)


def _least_squares(matrix: Array, wanted: Array) -> Array:
    return np.asarray(np.linalg.lstsq(matrix, wanted, rcond=None)[0], dtype=np.float64)


def _grid(shape: tuple[int, int], points: int) -> tuple[Array, Array]:
    y, x = np.meshgrid(np.linspace(-0.5, shape[0] - 0.5, points), np.linspace(-0.5, shape[1] - 0.5, points))
    return x.ravel(), y.ravel()


def _common(tangent: Tangent, crpix: tuple[float, float], cd: Array, form: Form) -> list[Card]:
    names = {"tan": ("RA---TAN", "DEC--TAN"), "sip": ("RA---TAN-SIP", "DEC--TAN-SIP"), "tpv": ("RA---TPV", "DEC--TPV")}
    return [
        ("WCSAXES", 2, "axes of the solution"),
        ("CTYPE1", names[form][0], "right ascension, gnomonic"),
        ("CTYPE2", names[form][1], "declination, gnomonic"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", tangent.ra_deg % 360, "[deg] reference point"),
        ("CRVAL2", tangent.dec_deg, "[deg] reference point"),
        ("LONPOLE", 180.0, "[deg] native longitude of the pole"),  # at Dec +90 it would be 0 without this card
        ("CRPIX1", crpix[0] + 1, "[pixel] reference point"),
        ("CRPIX2", crpix[1] + 1, "[pixel] reference point"),
        *((f"CD{i + 1}_{j + 1}", float(cd[i, j]), "[deg/pixel]") for i in (0, 1) for j in (0, 1)),
    ]


def _sip(coefficients: Array, terms: list[tuple[int, int]], cd: Array, size: float, order: int) -> list[Card]:
    in_pixels = np.linalg.inv(cd) @ coefficients.T
    cards: list[Card] = []
    for letter, row in zip("AB", in_pixels, strict=True):
        cards.append((f"{letter}_ORDER", order, "SIP polynomial"))
        for (a, b), value in zip(terms, row, strict=True):
            if a + b > 1:
                cards.append((f"{letter}_{a}_{b}", float(value) / size ** (a + b), ""))
    return cards


def _sip_inverse(dx: Array, dy: Array, xi: Array, eta: Array, cd: Array, order: int) -> list[Card]:
    """Polynomials from the plane to pixels, which readers take as a first guess or as the inverse itself."""
    flat = np.linalg.inv(cd) @ np.stack([xi, eta])
    size = float(np.abs(flat).max())
    terms = exponents(order)
    offsets = np.stack([dx - flat[0], dy - flat[1]], axis=1)
    coefficients = _least_squares(design(flat[0] / size, flat[1] / size, terms), offsets)
    cards: list[Card] = []
    for letter, row in zip(("AP", "BP"), coefficients.T, strict=True):
        cards.append((f"{letter}_ORDER", order, "SIP inverse, approximate"))
        for (a, b), value in zip(terms, row, strict=True):
            cards.append((f"{letter}_{a}_{b}", float(value) / size ** (a + b), ""))
    return cards


def _tpv(coefficients: Array, terms: list[tuple[int, int]], scale: float) -> list[Card]:
    cards: list[Card] = []
    for axis, column in enumerate(coefficients.T, start=1):
        for (a, b), value in zip(terms, column, strict=True):
            first = b if axis == 1 else a  # the second axis counts its own coordinate first
            number = _PV_STARTS[a + b] + first
            cards.append((f"PV{axis}_{number}", float(value) / scale ** (a + b), ""))
    return cards
