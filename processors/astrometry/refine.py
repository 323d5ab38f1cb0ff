"""Fit a polynomial correction of a solution to stars and catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.astrometry.agreement import References
from processors.astrometry.pairing import Pairs, pair
from processors.astrometry.represent import design, exponents

Array = NDArray[np.float64]
_PER_COEFFICIENT: Final = 5  # pairs
_FOLDS: Final = 5
_BETTER: Final = 0.99  # of the error: a higher degree must predict better by that much
_SMALLEST_RADIUS_PX: Final = 1.0
_CLIP: Final = 4.0
_RAYLEIGH: Final = 1.1774  # median distance over the error per axis


@dataclass(frozen=True, slots=True)
class Correction:
    """A polynomial to be added to stars' offsets on the plane.

    Attributes
    ----------
    order : int
        Its degree; -1 is no correction at all.
    coefficients : (terms, 2) float64
        In flat pixels, of (x, y) in units of `unit` about `middle`.
    pairs : Pairs
        The pairs it was fitted to.
    rms_px : float
        Distance of pairs per axis.
    predicted_px : float
        The same for pairs that were left out of the fit in turn (cross-validation).
    radius_px : float
        How far the stars of a pair could be apart.
    """

    order: int
    coefficients: Array
    middle: tuple[float, float]
    unit: float
    pairs: Pairs
    rms_px: float
    predicted_px: float
    radius_px: float

    def at(self, x: Array, y: Array) -> Array:
        """(2, n): what is to be added at pixels (x, y), from 0."""
        if self.order < 0:
            return np.zeros((2, len(x)))
        terms = exponents(self.order)
        return (design((x - self.middle[0]) / self.unit, (y - self.middle[1]) / self.unit, terms) @ self.coefficients).T


def highest_order(pairs: int, most: int) -> int:
    """Degree of a polynomial for which there are at least five pairs per coefficient, -1 where not even for a shift."""
    order = -1
    while order < most and pairs >= _PER_COEFFICIENT * (order + 2) * (order + 3) // 2:
        order += 1
    return order


class Refiner:
    """Stars and catalogue stars of an image on its plane; fits corrections of rising degree.

    Parameters
    ----------
    x, y : float64
        Pixels of stars, from 0.
    u, v : float64
        Their offsets on the plane by the solution that is to be corrected, in pixels of the middle.
    known : References
        Catalogue stars on the same plane.
    """

    def __init__(self, x: Array, y: Array, u: Array, v: Array, known: References, shape: tuple[int, int]) -> None:
        self._x, self._y, self._uv = x, y, np.stack([u, v], axis=1)
        self._known = np.stack([known.u, known.v], axis=1)
        self._middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
        self._unit = max(shape) / 2
        spacing = float(np.sqrt(shape[0] * shape[1] / max(len(x), len(known.u), 1)))
        self._widest = min(max(5.0, 0.01 * max(shape)), max(2.0, 0.4 * spacing))

    def fit(self, most: int) -> Correction:
        """Pair and fit in turn, first a tilt over a wide radius, then up to degree `most`; the best predictor stays."""
        found = self._none(self._pair(None, self._widest))
        for order in (0, 1, 1, *range(1, most + 1)):
            if highest_order(len(found.pairs), most) < order:
                continue
            radius = max(self._widest / 2 if order > found.order else 0.0, self._radius(found))
            found = self._settle(order, found, min(radius, self._widest))
        best = self._none(found.pairs, found.radius_px)
        for order in range(highest_order(len(found.pairs), most) + 1):
            candidate = self._fitted(order, found.pairs, found.radius_px)
            if candidate.predicted_px < _BETTER * best.predicted_px:
                best = candidate
        return self._settle(best.order, best, self._radius(found))

    def _settle(self, order: int, found: Correction, radius: float) -> Correction:
        for _ in range(6):
            pairs = self._pair(found, radius)
            if highest_order(len(pairs), order) < order:
                return found
            before, found = found, self._fitted(order, pairs, radius)
            radius = min(radius, self._radius(found))
            if before.order == order and np.array_equal(before.pairs.star, pairs.star):
                break
        return found

    def _pair(self, found: Correction | None, radius: float) -> Pairs:
        uv = self._uv if found is None else self._uv + found.at(self._x, self._y).T
        return pair(uv[:, 0], uv[:, 1], self._known[:, 0], self._known[:, 1], radius)

    def _radius(self, found: Correction) -> float:
        if len(found.pairs) == 0:
            return self._widest
        sigma = float(np.median(self._misses(found))) / _RAYLEIGH
        return min(max(_CLIP * sigma, _SMALLEST_RADIUS_PX), self._widest)

    def _misses(self, found: Correction) -> Array:
        star = found.pairs.star
        rest = self._known[found.pairs.reference] - self._uv[star] - found.at(self._x[star], self._y[star]).T
        return np.hypot(rest[:, 0], rest[:, 1])

    def _none(self, pairs: Pairs, radius: float | None = None) -> Correction:
        rms = _rms(self._known[pairs.reference] - self._uv[pairs.star])
        widest = self._widest if radius is None else radius
        return Correction(-1, np.empty((0, 2)), self._middle, self._unit, pairs, rms, rms, widest)

    def _fitted(self, order: int, pairs: Pairs, radius: float) -> Correction:
        if order < 0:
            return self._none(pairs, radius)
        star = pairs.star
        x, y = (self._x[star] - self._middle[0]) / self._unit, (self._y[star] - self._middle[1]) / self._unit
        matrix, wanted = design(x, y, exponents(order)), self._known[pairs.reference] - self._uv[star]
        coefficients: Array = np.linalg.lstsq(matrix, wanted, rcond=None)[0].astype(np.float64)
        return Correction(
            order, coefficients, self._middle, self._unit, pairs, _rms(wanted - matrix @ coefficients),
            _predicted(matrix, wanted), radius,
        )  # fmt: skip


def _rms(rest: Array) -> float:
    return float(np.sqrt((rest**2).mean())) if len(rest) else float("inf")


def _predicted(matrix: Array, wanted: Array) -> float:
    """Error of prediction by five-fold cross-validation."""
    fold = np.arange(len(wanted)) % _FOLDS
    rest = np.empty_like(wanted)
    for number in range(_FOLDS):
        out = fold == number
        rest[out] = wanted[out] - matrix[out] @ np.linalg.lstsq(matrix[~out], wanted[~out], rcond=None)[0]
    return _rms(rest)
