"""Small least-squares fits with the errors of what they find."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Coefficients, their covariance, residuals (data - model), χ² per degree of freedom, and what was not rejected."""

    coefficients: F8
    covariance: F8
    residuals: F8
    chi2_per_dof: float
    used: NDArray[np.bool_]

    def error(self, number: int) -> float:
        """Standard error of a coefficient."""
        return math.sqrt(max(float(self.covariance[number, number]), 0.0))


def linear_fit(design: Any, y: Any, error: Any, reject: float = 5.0) -> LinearFit:
    """Weighted least squares y = design @ coefficients; points `reject` σ off are left out, one at a time.

    `design` is (points, coefficients). σ is the larger of the given error and the residuals' own robust scatter, and
    the covariance grows with χ² where that is above 1: errors that are too small are not believed. At least one point
    more than there are coefficients is kept. An error of 0 (of an image that is constant) counts as the smallest other.

    Raises
    ------
    ValueError
        Fewer points than coefficients, or something is not a number.
    """
    A, values = np.asarray(design, np.float64), np.asarray(y, np.float64)
    sigma = np.array(np.broadcast_to(error, values.shape), np.float64)
    points, unknowns = A.shape
    if points < unknowns:
        raise ValueError(f"{points} points for {unknowns} coefficients")
    if not (np.isfinite(A).all() and np.isfinite(values).all() and np.isfinite(sigma).all()):
        raise ValueError("a point, or its error, is not a number")
    sigma[sigma <= 0] = sigma[sigma > 0].min(initial=np.inf) if (sigma > 0).any() else 1.0
    weight = 1 / sigma
    used = np.ones(points, np.bool_)
    while True:
        scale = np.abs(A[used]).max(axis=0)
        scale[scale == 0] = 1
        B = A[used] / scale * weight[used, None]
        inverse = np.linalg.pinv(B.T @ B)
        solution = (inverse @ (B.T @ (values[used] * weight[used]))) / scale
        residuals = values - A @ solution
        pulls = np.where(used, np.abs(residuals) * weight, 0)
        spread = max(1.0, 1.4826 * float(np.median(pulls[used])))
        worst = int(np.argmax(pulls))
        if pulls[worst] <= reject * spread or used.sum() <= unknowns + 2:
            break
        used[worst] = False
    dof = int(used.sum()) - unknowns
    chi2 = float((pulls[used] ** 2).sum()) / dof if dof > 0 else 1.0
    covariance = inverse / np.outer(scale, scale) * max(1.0, chi2)
    return LinearFit(solution, covariance, residuals, chi2, used)
