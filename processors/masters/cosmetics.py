"""Bad pixels, found in the planes of masters: hot, unstable, dead, and the columns that are full of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.masters.surface import smooth_surface
from processors.statistics import clipped, sample

F4 = NDArray[np.float32]
Pixels = NDArray[np.bool_]
_SAMPLE: Final = 500_000
_CHANCE: Final = 1e-7  # that a sound pixel is called unstable: one in ten million
_FEWEST_KEPT: Final = 0.5  # of the inputs


def hot_pixels(dark: F4, variance: F4, sigmas: float = 8.0, least_e_s: float = 0.1) -> Pixels:
    """Pixels whose dark current stands out from their surroundings, by more than noise and by more than nothing much.

    The surroundings are the smooth part of the plane, so that glow of amplifiers does not count. σ is the larger of
    the clipped scatter of the whole plane and what the pixel's own variance says.

    A pixel without a value is hot, too: it was saturated in every dark.

    Parameters
    ----------
    dark, variance : VALUE and VAR of a master dark, (rows, columns) float32, e-/s and its square
    sigmas, least_e_s : both must be exceeded
    """
    above = dark - smooth_surface(dark)
    _, sigma, _ = clipped(sample(above, _SAMPLE), 3.0)
    limit = np.maximum(np.float32(sigmas) * np.maximum(np.float32(sigma), np.sqrt(variance)), least_e_s)
    hot: Pixels = ~(above <= limit)
    return hot


def unstable_pixels(variance: F4, count: NDArray[Any], shot: F4 | float = 0.0, fewest: int = 5) -> Pixels:
    """Pixels that scatter from exposure to exposure more than the others do (random telegraph noise, mostly).

    The sample variance of a sound pixel follows the χ² distribution with n - 1 degrees of freedom; what is larger than
    one such pixel in ten million would be is unstable, and so is a pixel that lost more than half of its values to
    the clipping.

    Parameters
    ----------
    variance, count : VAR and COUNT of a master bias or dark, (rows, columns)
    shot : variance of one input that its own signal explains, in the units of `variance`
    fewest : inputs from which a pixel's scatter says something; with fewer none is unstable. Long darks need more than
        biases: among few, a faint cosmic ray is no outlier
    """
    inputs = int(np.max(count, initial=0))
    if inputs < fewest:
        return np.zeros(variance.shape, np.bool_)
    sampled = variance * count.astype(np.float32)
    explained = np.maximum(np.float32(0), np.broadcast_to(np.asarray(shot, np.float32), variance.shape))
    some = sample(sampled - explained, _SAMPLE)
    usual = float(np.median(some[np.isfinite(some)])) if np.isfinite(some).any() else np.inf
    loud = sampled > (np.float32(usual) + explained) * np.float32(_largest_ratio(inputs))
    unstable: Pixels = loud | ((count > 0) & (count < _FEWEST_KEPT * inputs))
    return unstable


@lru_cache(maxsize=64)
def _largest_ratio(inputs: int) -> float:
    """Largest sample variance of a sound pixel, in units of its median."""
    from scipy.stats import chi2

    return float(chi2.isf(_CHANCE, inputs - 1) / chi2.median(inputs - 1))


def dead_pixels(flat: F4, low: float = 0.5, high: float = 2.0) -> Pixels:
    """Pixels whose response is less than `low` or more than `high` times that of their surroundings, or not known.

    Parameters
    ----------
    flat : VALUE of a master flat, (rows, columns) float32
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = flat / smooth_surface(flat)
        sound: Pixels = (relative >= np.float32(low)) & (relative <= np.float32(high))
    return ~sound


def grow_columns(bad: Pixels, fraction: float = 0.3, shortest: int = 10) -> Pixels:
    """The same with whole stretches of columns: a column that is bad for `fraction` of a stretch is bad all along it.

    A stretch ends at the column's first and last bad pixel, or where the column is sound for longer than `shortest`.
    """
    grown = bad.copy()
    for column in np.flatnonzero(bad.sum(axis=0) >= shortest):
        rows = np.flatnonzero(bad[:, column])
        for stretch in np.split(rows, np.flatnonzero(np.diff(rows) > shortest) + 1):
            length = stretch[-1] - stretch[0] + 1
            if stretch.size >= shortest and stretch.size >= fraction * length:
                grown[stretch[0] : stretch[-1] + 1, column] = True
    return grown
