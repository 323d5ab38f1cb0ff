"""Gain and brighter-fatter coefficients from the covariances of pixels as they grow with the signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.characterise.signal import F8
from processors.ptc import Measured


@dataclass(frozen=True, slots=True)
class CovarianceFit:
    """`gain` e-/ADU, `a` 1/e- and its errors, `b` 1/e-, `noise` e-²: (lags, lags), [rows apart, columns apart]."""

    gain: Measured
    a: F8
    a_error: F8
    b: F8
    noise: F8
    chi2: float


def covariance_model(mean_adu: float, gain: float, a: F8, b: F8, noise: F8) -> F8:
    """Covariances in ADU² at a mean signal: Astier et al. 2019, A&A 629, A36, section 4, equation 20,

    C = μ/K [δ + a μK + 2/3 (a⊗a + ab)(μK)² + 1/6 (2 a⊗a⊗a + 5 a⊗ab)(μK)³] + n/K²

    with ⊗ the convolution over all lags of both signs (`a` is even in both) and products of matrices by elements.
    """  # fmt: skip
    electrons = mean_adu * gain
    ab = a * b
    aa = _convolve(a, a)
    terms = a * electrons + (2 / 3) * (aa + ab) * electrons**2
    terms += (2 * _convolve(aa, a) + 5 * _convolve(a, ab)) / 6 * electrons**3
    terms[0, 0] += 1
    return np.asarray(mean_adu / gain * terms + noise / gain**2)


def fit_covariances(
    means_adu: Sequence[float] | F8,
    covariances_adu2: Sequence[F8],
    errors_adu2: Sequence[float],
    gain: float,
    noise_e2: float,
    with_b: bool = False,
) -> CovarianceFit:
    """Fit equation 20 to covariances (lags, lags) at each mean; `gain` and `noise_e2` are where to start.

    `errors_adu2` are those of a covariance off the origin; the variance's is √2 larger. Without `with_b` the
    coefficients b are 0, as short ladders cannot tell them from the rest.

    Raises
    ------
    ValueError
        Fewer than four levels.
    """
    from scipy.optimize import least_squares

    means, measured = np.asarray(means_adu, np.float64), np.asarray(covariances_adu2, np.float64)
    if means.size < 4:
        raise ValueError(f"covariances need four levels, there are {means.size}")
    lags, size = measured.shape[1], measured.shape[1] ** 2
    sigma = np.asarray(errors_adu2, np.float64)[:, None, None] * np.ones_like(measured)
    sigma[:, 0, 0] *= math.sqrt(2)
    unit = 1e-6  # e-; makes the coefficients of the order of one

    def unpack(p: F8) -> tuple[float, F8, F8, F8]:
        a = p[1 : 1 + size].reshape(lags, lags) * unit
        noise = p[1 + size : 1 + 2 * size].reshape(lags, lags)
        b = p[1 + 2 * size :].reshape(lags, lags) * unit if with_b else np.zeros_like(a)
        return float(p[0]), a, b, noise

    def pulls(p: F8) -> F8:
        K, a, b, noise = unpack(p)
        model = np.array([covariance_model(float(mean), K, a, b, noise) for mean in means])
        return np.asarray(((measured - model) / sigma).ravel())

    start = np.zeros(1 + (3 if with_b else 2) * size)
    start[0], start[1 + size] = gain, noise_e2
    scale = np.ones_like(start)
    scale[0], scale[1 + size : 1 + 2 * size] = gain * 0.01, max(noise_e2, 1.0)
    done = least_squares(pulls, start, x_scale=scale, method="trf")
    dof = measured.size - start.size
    chi2 = 2 * float(done.cost) / dof if dof > 0 else 1.0
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(done.jac.T @ done.jac)), 0) * max(1.0, chi2))
    K, a, b, noise = unpack(done.x)
    a_error = errors[1 : 1 + size].reshape(lags, lags) * unit
    return CovarianceFit(Measured(K, float(errors[0]), means.size), a, a_error, b, noise, chi2)


def _convolve(one: F8, two: F8) -> F8:
    """Convolution of two even matrices given by their lags ≥ 0, at the same lags."""
    from scipy.signal import convolve

    lags = one.shape[0]
    whole = convolve(even(one), even(two), mode="same")
    return np.asarray(whole[lags - 1 :, lags - 1 :])


def even(quarter: F8) -> F8:
    """All lags of both signs of a matrix that is given by its lags ≥ 0."""
    half = np.concatenate([quarter[:0:-1], quarter])
    return np.concatenate([half[:, :0:-1], half], axis=1)
