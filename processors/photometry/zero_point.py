"""The magnitude of one electron per second, against a catalogue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]
_FEWEST: Final = 3
_CLIP: Final = 3.0
_LARGEST_SCATTER: Final = 0.5  # mag; stars that were taken for others, not photometry
_LEAST_SIGMA: Final = 0.002  # mag; photometry is no better


@dataclass(frozen=True, slots=True)
class ZeroPoint:
    """Magnitude of a star that gives 1 e-/s.

    Attributes
    ----------
    value, error : mag; the error is the standard error of the median, 1.2533 scatter / √number (with a colour term,
        of the fit)
    scatter : of the stars about it, mag
    number : stars that were kept
    matched : stars that had a flux and a magnitude
    colour_term, colour_error : mag per mag of colour; 0 and 0 where none was asked for
    reason : why `value` is NaN
    """

    value: float
    error: float
    scatter: float
    number: int
    matched: int
    colour_term: float = 0.0
    colour_error: float = 0.0
    reason: str = ""


def measure_zero_point(
    flux_e: F8,
    flux_error_e: F8,
    exptime_s: float,
    magnitude: F8,
    *,
    colour: F8 | None = None,
    colour_pivot: float = 0.0,
    least_snr: float = 20.0,
) -> ZeroPoint:
    """Zero point from stars and their catalogue magnitudes: median of magnitude + 2.5 log10(flux / exptime).

    Values beyond 3 σ (1.4826 times the median absolute deviation) go until none does. With `colour`,

        magnitude = zero point - 2.5 log10(flux / exptime) + colour term (colour - pivot)

    is fitted by least squares, clipped in the same way. Stars without a finite magnitude (or colour) or with less
    than `least_snr` do not count; fewer than three, or a scatter above 0.5 mag, give NaN with number 0 and the reason.

    Parameters
    ----------
    flux_e, flux_error_e : e-, one per matched star; the whole light
    magnitude, colour : of the same stars in the catalogue
    """
    if not 0 < exptime_s < math.inf:
        return no_zero_point(0, f"the exposure time is {exptime_s:g} s")
    good = (flux_e > least_snr * flux_error_e) & (flux_error_e > 0) & np.isfinite(magnitude) & np.isfinite(flux_e)
    if colour is not None:
        good &= np.isfinite(colour)
    matched, least = int(good.sum()), _FEWEST + (colour is not None)
    if matched < least:
        return no_zero_point(matched, f"{matched} of {flux_e.size} matched stars are bright and have a magnitude")
    single = magnitude[good] + 2.5 * np.log10(flux_e[good] / exptime_s)
    away = np.zeros(matched) if colour is None else colour[good] - colour_pivot
    if colour is not None and float(np.ptp(away)) == 0:
        return no_zero_point(matched, "the stars have one colour: no colour term can be told")
    return _clipped(single, away, colour is not None, least)


def _clipped(single: F8, away: F8, coloured: bool, least: int) -> ZeroPoint:
    kept = np.ones(single.size, np.bool_)
    # the slope through medians is not led astray by what will be clipped
    value, slope = float(np.median(single)), 0.0
    if coloured:
        slope = _slope(away, single)
        value = float(np.median(single - slope * away))
    for _ in range(20):
        rest = single - value - slope * away
        sigma = max(1.4826 * float(np.median(np.abs(rest[kept]))), _LEAST_SIGMA)
        inside = np.abs(rest) <= _CLIP * sigma
        if inside.sum() < least:
            return no_zero_point(single.size, f"{int(inside.sum())} of {single.size} stars agree")
        if coloured:
            slope, value = (float(term) for term in np.polyfit(away[inside], single[inside], 1))
        else:
            value = float(np.median(single[inside]))
        if np.array_equal(inside, kept):
            break
        kept = inside
    rest, number = (single - value - slope * away)[kept], int(kept.sum())
    scatter = 1.4826 * float(np.median(np.abs(rest)))
    if scatter > _LARGEST_SCATTER:
        return no_zero_point(single.size, f"{number} stars scatter by {scatter:.2f} mag")
    if not coloured:
        return ZeroPoint(value, math.sqrt(math.pi / 2 / number) * scatter, scatter, number, single.size)
    spread = float(away[kept].std()) * math.sqrt(number)
    error = scatter * math.sqrt(1 / number + float(away[kept].mean()) ** 2 / spread**2) if spread else math.nan
    return ZeroPoint(value, error, scatter, number, single.size, slope, scatter / spread if spread else math.nan)


def _slope(x: F8, y: F8) -> float:
    """Median of the slopes of pairs (Theil 1950; Sen 1968, JASA 63, 1379), of 2000 pairs at most."""
    shift = np.arange(1, min(x.size, 2 + 2000 // x.size))
    pairs = [(np.roll(x, s) - x, np.roll(y, s) - y) for s in shift]
    dx, dy = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return float(np.median(dy[dx != 0] / dx[dx != 0]))


def no_zero_point(matched: int, reason: str) -> ZeroPoint:
    """Nothing measured, and why."""
    return ZeroPoint(math.nan, math.nan, math.nan, 0, matched, math.nan, math.nan, reason)
