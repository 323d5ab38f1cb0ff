"""Which arc line is which: hypotheses are voted for by pairs of lines, and the best are tried.

Every pair of a line found and a line of the list votes for the wavelength at the detector's centre, for each dispersion
and curvature of a grid (a Hough transform; the wide search, without a template, of Song et al. 2018, PASP 130, 034502,
and of Veitch-Michaelis and Lam 2019, arXiv:1912.05883, by counting instead of random samples).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.spectra.arc import ArcLines
from processors.spectra.line_list import LineList
from processors.spectra.setup import SpectrographSetup

F8 = NDArray[np.float64]
_MOST_LINES = 40  # of either side vote; more say nothing new and take long
_CURVATURE = 0.08  # the dispersion may change by this fraction, twice, from the centre to an end


@dataclass(frozen=True, slots=True)
class Guess:
    """λ = centre + dispersion · half · (u + curvature · u²), u from -1 to 1 along the detector; `score` in σ."""

    score: float
    centre_a: float
    dispersion_a_px: float
    curvature: float
    pixels: int

    def __call__(self, place: F8) -> F8:
        """Wavelength of pixels, Å."""
        half = (self.pixels - 1) / 2
        u = place / half - 1
        return np.asarray(self.centre_a + self.dispersion_a_px * half * (u + self.curvature * u**2))


@dataclass(frozen=True, slots=True)
class Guesses:
    """The best hypotheses, best first; how many were looked at, and within how many pixels a line may lie."""

    best: tuple[Guess, ...]
    tried: int
    tolerance_px: float


def guess_solutions(
    lines: ArcLines, listed: LineList, pixels: int, setup: SpectrographSetup, most: int = 200
) -> Guesses:
    """Rank the dispersions, curvatures and centres that the setup allows."""
    tolerance = max(lines.fwhm_px, pixels / 300)
    step = tolerance / pixels  # moves the ends by half a tolerance
    bends = math.ceil(_CURVATURE / step)
    curvatures = np.asarray(np.arange(-bends, bends + 1) * step, np.float64)
    first = np.argsort(-lines.signal_to_noise)[:_MOST_LINES]
    place, weight = lines.place[first], np.log(lines.signal_to_noise[first])
    tried, best = 0, []
    resolution, known = 0.0, listed
    for dispersion in _dispersions(setup, step):
        if not 0.9 < lines.fwhm_px * abs(dispersion) / max(resolution, 1e-9) < 1.1:
            resolution = lines.fwhm_px * abs(dispersion)
            known = listed.blended(resolution)
        votes, lowest, width = _vote(place, weight, known, pixels, dispersion, curvatures, tolerance, setup)
        tried += votes.size
        z = (votes - votes.mean(1, keepdims=True)) / np.maximum(votes.std(1, keepdims=True), 1e-12)
        for at in np.argpartition(-z.ravel(), min(3, z.size - 1))[:3]:
            row, column = divmod(int(at), z.shape[1])
            centre = lowest + (column + 0.5) * width
            best.append(Guess(float(z[row, column]), centre, dispersion, float(curvatures[row]), pixels))
    best.sort(key=lambda guess: -guess.score)
    return Guesses(_diverse(best, most), tried, tolerance)


def _diverse(guesses: Sequence[Guess], most: int) -> tuple[Guess, ...]:
    """The first of the guesses, but no more than three whose dispersions are within about 3 % of each other."""
    chosen: list[Guess] = []
    crowd: Counter[tuple[bool, int]] = Counter()
    for guess in guesses:
        place = (guess.dispersion_a_px > 0, round(math.log(abs(guess.dispersion_a_px)) / 0.03))
        crowd[place] += 1
        if crowd[place] <= 3:
            chosen.append(guess)
        if len(chosen) == most:
            break
    return tuple(chosen)


def _dispersions(setup: SpectrographSetup, step: float) -> Iterator[float]:
    if setup.dispersion_a_px is not None:
        count = math.ceil(setup.dispersion_tolerance / step)
        yield from (setup.dispersion_a_px * (1 + number * step) for number in range(-count, count + 1))
        return
    low, high = setup.blind_range_a_px
    for number in range(math.ceil(math.log(high / low) / step) + 1):
        yield from (sign * low * math.exp(number * step) for sign in (1, -1))


def _vote(
    place: F8,
    weight: F8,
    known: LineList,
    pixels: int,
    dispersion: float,
    curvatures: F8,
    tolerance: float,
    setup: SpectrographSetup,
) -> tuple[F8, float, float]:
    """Votes for (curvature, centre); the lowest centre, and the width of a bin, Å."""
    half, width = (pixels - 1) / 2, tolerance * abs(dispersion)
    if setup.centre_a is None:
        lowest, highest = float(known.wavelength_a[0]), float(known.wavelength_a[-1])
    else:
        lowest, highest = setup.centre_a - setup.centre_tolerance_a, setup.centre_a + setup.centre_tolerance_a
    bins = max(3, math.ceil((highest - lowest) / width))
    reach = half * abs(dispersion) * (1 + _CURVATURE)
    near = (known.wavelength_a > lowest - reach) & (known.wavelength_a < highest + reach)
    wavelength, strength = known.wavelength_a[near], np.log1p(known.strength[near])
    if wavelength.size == 0:
        return np.zeros((curvatures.size, bins)), lowest, width
    u = place / half - 1
    offset = dispersion * half * (u + curvatures[:, None] * u**2)
    at = np.floor((wavelength - offset[:, :, None] - lowest) / width).astype(np.intp)
    votes = np.broadcast_to(weight[:, None] * strength, at.shape)
    inside = (at >= 0) & (at < bins)
    flat = (at + np.arange(curvatures.size)[:, None, None] * bins)[inside]
    counted = np.asarray(np.bincount(flat, votes[inside], curvatures.size * bins), np.float64)
    counted = counted.reshape(curvatures.size, bins)
    counted[:, 1:-1] += (counted[:, 2:] + counted[:, :-2]) / 2  # a vote may fall beside its bin
    return counted, lowest, width
