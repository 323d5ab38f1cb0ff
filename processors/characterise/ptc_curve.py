"""The photon transfer curve as numbers: gain, brighter-fatter, read noise, and where the curve turns over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.signal import F8
from processors.ptc import Measured

_BELOW: Final = 0.9  # points are fitted up to this part of the turn-over


@dataclass(frozen=True, slots=True)
class CurveFit:
    """Fit of a photon transfer curve.

    `gain` e-/ADU, `a00` 1/e- (negative: brighter-fatter), `noise` ADU, `full_well` ADU (NaN where the curve does not
    turn over; then `highest` is a lower limit), `used` marks the points that were fitted, `chi2` is per degree of
    freedom.
    """

    gain: Measured
    a00: Measured
    noise: Measured
    full_well: Measured
    highest: float
    used: NDArray[np.bool_]
    chi2: float

    def variance(self, means: F8) -> F8:
        """The model at means in ADU: ADU²."""
        return curve(means, self.gain.value, self.a00.value, self.noise.value**2)


def curve(means_adu: F8, gain: float, a00: float, noise2: float) -> F8:
    """Variance in ADU² of a flat of this mean: (exp(2 a μ K) - 1) / (2 K² a) + noise² (Astier et al. 2019, A&A 629,
    A36, equation 16), which for a → 0 is μ / K + noise²."""  # fmt: skip
    x = 2 * a00 * gain * means_adu
    # (exp(x) - 1) / x without loss of digits where x is small
    growth = np.where(np.abs(x) < 1e-8, 1 + x / 2, np.expm1(x) / np.where(x == 0, 1, x))
    return np.asarray(means_adu / gain * growth + noise2)


def turn_over(means: F8, variances: F8, errors: F8) -> int:
    """Number of points, in the order of the means, before the variance falls for good; all of them when it does not.

    The summit is that of running medians of three, so that one bad pair is none, and the fall must be 10 % and 5 σ.
    """
    order = np.argsort(means)
    v, e = variances[order], errors[order]
    if v.size < 4:
        return int(v.size)
    smooth = np.array([np.median(v[max(0, n - 1) : n + 2]) for n in range(v.size)])
    smooth[-1] = v[-1]
    summit = int(np.argmax(smooth[:-1]))
    # the highest point that is not itself an outlier beside the summit of the medians
    while summit + 1 < v.size and smooth[summit] * 0.98 < v[summit + 1] < smooth[summit] * 1.3:
        summit += 1
    after = v[summit + 1 :]
    fallen = after < np.minimum(0.9 * smooth[summit], smooth[summit] - 5 * e[summit + 1 :])
    return summit + 1 if after.size and bool(fallen.all()) else int(v.size)


def fit_curve(
    means: Sequence[float] | F8,
    variances: Sequence[float] | F8,
    errors: Sequence[float] | F8,
    noise_adu: Measured | None = None,
    low_adu: float = 0.0,
    high_adu: float = math.inf,
) -> CurveFit:
    """Fit gain, a₀₀ and read noise to points of a ladder of levels, ADU and ADU².

    Points above 0.9 of the turn-over, outside `low_adu` to `high_adu`, or 5 σ off the others are not fitted. The read
    noise measured on biases counts as a point at 0. With fewer than four points a₀₀ is 0, without biases and with
    fewer than two points so is the read noise. The full well is the level from which on the variance stays 5 % and
    5 σ below the model, halfway between the last good point and the first bad one, with that half step as its error.

    Raises
    ------
    ValueError
        No point can be fitted, one is not a number, or no variance is above that of the read noise.
    """
    m, v, e = (np.asarray(values, np.float64) for values in (means, variances, errors))
    if not (np.isfinite(m).all() and np.isfinite(v).all() and np.isfinite(e).all()):
        raise ValueError("a point of the photon transfer curve is not a number")
    order = np.argsort(m)
    m, v, e = m[order], v[order], e[order]
    summit = turn_over(m, v, e)
    limit = math.inf if summit == m.size else _BELOW * m[summit - 1]
    used = (m > 0) & (m >= low_adu) & (m <= min(limit, high_adu)) & (e > 0)
    if limit < math.inf and used.sum() < 1:
        used = (m > 0) & (np.arange(m.size) < summit)
    if not used.any():
        raise ValueError("no point of the photon transfer curve can be fitted")
    if not (v[used] > (noise_adu.value**2 if noise_adu is not None and math.isfinite(noise_adu.value) else 0.0)).any():
        raise ValueError("the variance does not grow with the light")
    fit, errors3, chi2 = _robust(m, v, e, used, noise_adu)
    gain, a00, noise2 = fit
    below = v < np.minimum(0.95 * curve(m, gain, a00, noise2), curve(m, gain, a00, noise2) - 5 * e)
    full_well = _first_fall(m, below)
    noise = math.sqrt(max(noise2, 0.0))
    noise_error = errors3[2] / (2 * noise) if noise > 0 else math.sqrt(errors3[2])
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    number = int(used.sum())
    return CurveFit(
        Measured(gain, errors3[0], number),
        Measured(a00, errors3[1], number),
        Measured(noise, noise_error, number),
        full_well,
        float(m[-1]),
        used[back],
        chi2,
    )


def _robust(
    m: F8, v: F8, e: F8, used: NDArray[np.bool_], noise: Measured | None
) -> tuple[tuple[float, float, float], tuple[float, float, float], float]:
    """Fit, reject the worst point while it is 5 σ off, fit again; `used` is changed."""
    while True:
        fit, errors, chi2 = _fit(m[used], v[used], e[used], noise)
        pulls = np.where(used, np.abs(v - curve(m, *fit)) / e, 0.0)
        spread = max(1.0, 1.4826 * float(np.median(pulls[used])))
        worst = int(np.argmax(pulls))
        if pulls[worst] <= 5 * spread or used.sum() <= 5:
            return fit, errors, chi2
        used[worst] = False


def _fit(
    m: F8, v: F8, e: F8, noise: Measured | None
) -> tuple[tuple[float, float, float], tuple[float, float, float], float]:
    from scipy.optimize import least_squares

    known = noise is not None and math.isfinite(noise.value)
    noise2 = noise.value**2 if noise is not None and known else 0.0
    noise_error = max(2 * noise.value * noise.error, 1e-3 * noise2, 1e-6) if noise is not None and known else 1.0
    bent, free_noise = m.size >= 4, known or m.size >= 2
    start = [math.log(max(float(np.median(m / np.maximum(v - noise2, 1e-9))), 1e-6))]
    start += [0.0] * bent + [noise2] * free_noise
    top = float(m.max())

    def unpack(p: F8) -> tuple[float, float, float]:
        gain = math.exp(p[0])
        # a μ K of the highest point is the parameter, which is of the order of 0.1 whatever the units
        a00 = float(p[1]) / (top * gain) if bent else 0.0
        return gain, a00, float(p[-1]) if free_noise else 0.0

    def pulls(p: F8) -> F8:
        gain, a00, n2 = unpack(p)
        found = (v - curve(m, gain, a00, n2)) / e
        return np.append(found, (noise2 - n2) / noise_error) if known else found

    scale = [0.1] + [0.1] * bent + [max(noise2, 1.0)] * free_noise
    done = least_squares(pulls, start, x_scale=scale)
    dof = m.size + known - len(start)
    chi2 = 2 * float(done.cost) / dof if dof > 0 else 1.0
    covariance = np.linalg.pinv(done.jac.T @ done.jac) * max(1.0, chi2)
    sigma = np.sqrt(np.maximum(np.diag(covariance), 0))
    gain, a00, n2 = unpack(done.x)
    a00_error = float(sigma[1]) / (top * gain) if bent else math.nan
    return (gain, a00, n2), (gain * float(sigma[0]), a00_error, float(sigma[-1]) if free_noise else math.nan), chi2


def _first_fall(m: F8, below: NDArray[np.bool_]) -> Measured:
    """Level from which on every point is below the model; NaN where none is."""
    if not below[-1] or below.all():
        return Measured(math.nan, math.nan, 0)
    last_good = int(np.flatnonzero(~below)[-1])
    low, high = float(m[last_good]), float(m[last_good + 1])
    return Measured((low + high) / 2, (high - low) / 2, int(below.sum()))
