"""Polynomials through points of which some are wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A Chebyshev series over pixels 0 to `pixels` - 1."""

    coefficients: tuple[float, ...]
    pixels: int

    def __call__(self, place: NDArray) -> F8:
        """Value at pixel positions."""
        return np.asarray(chebyshev.chebval(_scaled(place, self.pixels), self.coefficients))

    def slope(self, place: NDArray) -> F8:
        """Change per pixel at pixel positions."""
        series = chebyshev.chebder(self.coefficients)
        return np.asarray(chebyshev.chebval(_scaled(place, self.pixels), series)) * 2 / max(self.pixels - 1, 1)


def fit_polynomial(place: F8, value: F8, error: F8, pixels: int, order: int) -> Polynomial:
    """Weighted least squares; `order` below the number of points."""
    series = chebyshev.chebfit(_scaled(place, pixels), value, order, w=1 / error)
    return Polynomial(tuple(float(c) for c in series), pixels)


def fit_clipped(
    place: F8, value: F8, error: F8, pixels: int, order: int, width: float = 3.0
) -> tuple[Polynomial, NDArray[np.bool_]]:
    """Fit, leave out the worst point as long as it lies `width` times too far off, and fit again; says what was kept.

    Too far is in units of the point's error, or of the scatter of all (1.4826 times the median of the deviations in
    those units) where that is larger. At least order + 2 points and half of them stay.
    """
    kept = np.ones(place.size, np.bool_)
    least = max(order + 2, (place.size + 1) // 2)
    while True:
        fit = fit_polynomial(place[kept], value[kept], error[kept], pixels, order)
        away = np.where(kept, np.abs(value - fit(place)) / error, 0.0)
        worst = int(np.argmax(away))
        limit = width * max(1.4826 * float(np.median(away[kept])), 1.0)
        if away[worst] <= limit or int(kept.sum()) <= least:
            return fit, kept
        kept[worst] = False


def _scaled(place: NDArray, pixels: int) -> F8:
    return np.asarray(2.0 * np.asarray(place, np.float64) / max(pixels - 1, 1) - 1.0)
