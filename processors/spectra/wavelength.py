"""The wavelength of every pixel, from an arc."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from processors.errors import NoCalibration
from processors.spectra.arc import ArcLines, arc_spectrum, find_lines
from processors.spectra.fitting import Polynomial, fit_clipped, fit_polynomial
from processors.spectra.identify_lines import Guess, Guesses, guess_solutions
from processors.spectra.line_list import LineList, lamp_lines
from processors.spectra.setup import SpectrographSetup
from processors.spectra.slit_image import SlitImage

F8 = NDArray[np.float64]
_FLOOR_PX = 0.03  # no line is placed better, whatever its photons say: lines are not Gaussian
_GOOD_PX = 0.2  # lines placed better than this are enough for the fit, if there are enough of them
_CHANCE = -3.0  # log10 of the probability, all hypotheses counted, that as many lines agree by chance
_RIVAL = 0.95  # another solution with so much of the best one's support makes both doubtful


@dataclass(frozen=True, slots=True)
class WavelengthSolution:
    """Air wavelength of pixels, Å, and how good it is.

    Attributes
    ----------
    polynomial : wavelength of a pixel from 0
    place, wavelength_a, residual_a : the lines used: pixel, air wavelength, wavelength less fit
    rms_a : of the residuals
    found, identified : lines of the arc, and those of them that are in the list
    saturated : lines that were not used for that
    fwhm_a : resolution at the centre
    log_chance : log10 of the probability that chance does as well, all hypotheses counted
    support : how many lines agree, weighted by the logarithms of their signal to noise and of their listed strength
    """

    polynomial: Polynomial
    place: F8
    wavelength_a: F8
    residual_a: F8
    rms_a: float
    found: int
    identified: int
    saturated: int
    fwhm_a: float
    log_chance: float
    support: float

    @property
    def order(self) -> int:
        """Order of the polynomial."""
        return len(self.polynomial.coefficients) - 1

    @property
    def covered_a(self) -> tuple[float, float]:
        """Between these wavelengths there are lines; outside the solution is extrapolated."""
        return float(self.wavelength_a.min()), float(self.wavelength_a.max())


def solve_wavelength(arc: SlitImage, trace: Polynomial, setup: SpectrographSetup) -> WavelengthSolution:
    """Find the arc's lines along a trace, tell which they are, and fit their wavelengths.

    Raises
    ------
    NoCalibration
        No lines, saturated ones, no solution that chance would not also give, two that are as good, or an rms above
        the setup's limit.
    BadInstrument
        A lamp has no line list.
    """
    lines = find_lines(*arc_spectrum(arc, trace))
    return solve_lines(lines, arc.sci.shape[0], setup)


def solve_lines(lines: ArcLines, pixels: int, setup: SpectrographSetup) -> WavelengthSolution:
    """The solution of lines that were found; raises as `solve_wavelength` does."""
    listed = lamp_lines(setup.lamps)
    guesses = guess_solutions(lines, listed, pixels, setup)
    solutions = [made for guess in guesses.best if (made := _refine(guess, lines, listed, guesses, setup)) is not None]
    solutions = sorted((made for made in solutions if made.log_chance < _CHANCE), key=lambda made: -made.support)
    if not solutions:
        raise NoCalibration(f"the arc's {lines.place.size} lines fit no solution with {' '.join(setup.lamps)}")
    best = solutions[0]
    slope = abs(float(best.polynomial.slope(np.array([pixels / 2]))[0]))
    rival = next((made for made in solutions[1:] if _differs(made, best, 2 * lines.fwhm_px * slope)), None)
    if rival is not None and rival.support > _RIVAL * best.support:
        raise NoCalibration("the arc's lines fit two solutions equally well: give a rough dispersion and centre")
    if best.rms_a > setup.rms_limit_px * slope:
        limit = setup.rms_limit_px * slope
        raise NoCalibration(f"the wavelength solution's rms is {best.rms_a:.2f} Å, more than {limit:.2f} Å")
    return best


def _differs(one: WavelengthSolution, other: WavelengthSolution, by_a: float) -> bool:
    place = np.linspace(float(other.place.min()), float(other.place.max()), 20)
    return float(np.abs(one.polynomial(place) - other.polynomial(place)).max()) > by_a


def _refine(
    guess: Guess, lines: ArcLines, listed: LineList, guesses: Guesses, setup: SpectrographSetup
) -> WavelengthSolution | None:
    """Match, fit, match more closely; None if too few lines agree, or the dispersion leaves what is allowed."""
    scale, pixels = abs(guess.dispersion_a_px), guess.pixels
    known = listed.blended(lines.fwhm_px * scale)
    closest = max(0.5 * lines.fwhm_px, 1.0)
    fit = _close_in(guess, lines, known, 1.5 * guesses.tolerance_px, closest, setup.order)
    if fit is None:
        return None
    slopes = fit.slope(np.linspace(0, pixels - 1, 50)) / guess.dispersion_a_px
    if slopes.min() < 0.6 or slopes.max() > 1.6:
        return None
    found, of = _match(fit(lines.place), known.wavelength_a, closest * scale)
    if found.size < 5 or found.size * 2 < lines.place.size:
        return None
    ends = np.sort(fit(np.array([0.0, pixels - 1.0])))
    within = int(((known.wavelength_a > ends[0]) & (known.wavelength_a < ends[1])).sum())
    chance = min(0.9, 2 * closest * within / pixels)
    log_chance = float(binom.logsf(found.size - 1, lines.place.size, chance)) / math.log(10)
    return _fit_matched(lines, known, found, of, guess, log_chance + math.log10(guesses.tried), setup.order)


def _close_in(
    guess: Guess, lines: ArcLines, known: LineList, width: float, closest: float, order: int
) -> Polynomial | None:
    """Match within `width` pixels, fit, and again ever closer; None when too few lines are left."""
    scale, fit = abs(guess.dispersion_a_px), None
    predicted = guess(lines.place)
    for _ in range(6):
        found, of = _match(predicted, known.wavelength_a, width * scale)
        now = min(order if width <= 1.5 * closest else 2, found.size - 3)
        if now < 1:
            return None
        error = _error(lines, known, found, of, scale)
        fit = fit_polynomial(lines.place[found], known.wavelength_a[of], error, guess.pixels, now)
        predicted = fit(lines.place)
        width = max(width * 0.6, closest)
    return fit


def _fit_matched(
    lines: ArcLines,
    known: LineList,
    found: NDArray[np.intp],
    of: NDArray[np.intp],
    guess: Guess,
    log_chance: float,
    order: int,
) -> WavelengthSolution:
    """The final fit: by the well-placed lines alone where there are enough of them, without those that are off."""
    scale, pixels = abs(guess.dispersion_a_px), guess.pixels
    support = float((np.log(lines.signal_to_noise[found]) * np.log1p(known.strength[of])).sum())
    error = _error(lines, known, found, of, scale)
    # faint lines and blends help to tell which line is which; where there are better ones they do not help the fit
    good = error <= _GOOD_PX * scale
    if int(good.sum()) < order + 4:
        good[:] = True
    found, of, error = found[good], of[good], error[good]
    final, kept = fit_clipped(lines.place[found], known.wavelength_a[of], error, pixels, min(order, found.size - 3))
    place, wavelength = lines.place[found[kept]], known.wavelength_a[of[kept]]
    residual = wavelength - final(place)
    return WavelengthSolution(
        polynomial=final,
        place=place,
        wavelength_a=wavelength,
        residual_a=residual,
        rms_a=float(np.sqrt(np.mean(residual**2))),
        found=lines.place.size,
        identified=good.size,
        saturated=lines.saturated,
        fwhm_a=lines.fwhm_px * abs(float(final.slope(np.array([pixels / 2]))[0])),
        log_chance=log_chance,
        support=support,
    )


def _error(lines: ArcLines, known: LineList, found: NDArray[np.intp], of: NDArray[np.intp], scale: float) -> F8:
    """Errors of pairs, Å: of the line's place and of the list."""
    return np.asarray(np.hypot(np.hypot(lines.error_px[found], _FLOOR_PX) * scale, known.error_a[of]))


def _match(predicted: F8, known: F8, width_a: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of a found and a listed line that lie within `width_a`: each line in one pair, with its nearest."""
    right = np.clip(np.searchsorted(known, predicted), 1, known.size - 1)
    nearest = np.where(predicted - known[right - 1] < known[right] - predicted, right - 1, right)
    away = np.abs(predicted - known[nearest])
    order = np.argsort(away, kind="stable")
    order = order[away[order] <= width_a]
    _, first = np.unique(nearest[order], return_index=True)
    found = order[first]
    return found, nearest[found]
