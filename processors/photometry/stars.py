"""Which sources are stars: those of one size and shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.photometry.flags import SourceFlag
from processors.photometry.sources import Sources

F8 = NDArray[np.float64]
FEWEST_STARS: Final = 5
_WINDOW: Final = np.log(1.12)  # width of the window in which most sizes crowd
_FIRST_REACH: Final = np.log(1.25)  # how far sizes from there may differ over a focal plane
_NARROWEST: Final = 0.02  # relative scatter below which sizes are not told apart
_LEAST_SNR: Final = 30.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Stars among sources: `chosen` (bool, one per source), their `number`, relative `scatter` of their sizes."""

    chosen: NDArray[np.bool_]
    number: int
    scatter: float
    reason: str = ""


def select_stars(sources: Sources, least_snr: float = _LEAST_SNR) -> Selection:
    """Stars: unflagged sources with enough light that lie on the locus of sizes and shapes (`stellar_locus`)."""
    ratio = sources.flux_e / np.where(sources.flux_error_e > 0, sources.flux_error_e, np.inf)
    fit = ((sources.flags & ~np.uint16(SourceFlag.MASKED)) == 0) & (ratio > least_snr) & np.isfinite(sources.fwhm_px)
    if len(sources) == 0:
        return Selection(fit, 0, float("nan"), sources.reason or "no sources")
    g = axis_shear(sources.ellipticity)
    angle = 2 * sources.theta_rad
    chosen, scatter = stellar_locus(sources.fwhm_px[fit], g[fit] * np.cos(angle[fit]), g[fit] * np.sin(angle[fit]))
    found = np.zeros(len(sources), np.bool_)
    found[np.flatnonzero(fit)[chosen]] = True
    number = int(found.sum())
    if number >= FEWEST_STARS:
        return Selection(found, number, scatter)
    isolated = int(np.count_nonzero((sources.flags & np.uint16(SourceFlag.BLENDED)) == 0))
    crowded = "crowded: " if isolated < len(sources) / 2 else ""
    reason = f"{crowded}{number} stars among {len(sources)} sources, {int(fit.sum())} of them bright and alone"
    return Selection(np.zeros(len(sources), np.bool_), 0, float("nan"), reason)


def axis_shear(ellipticity: F8) -> F8:
    """(a - b) / (a + b) for an ellipticity of 1 - b/a."""
    return np.asarray(ellipticity / (2 - ellipticity))


def stellar_locus(fwhm_px: F8, g1: F8, g2: F8, iterations: int = 8) -> tuple[NDArray[np.bool_], float]:
    """Members of the narrow ridge in size and shape that stars make, and the relative scatter of their sizes.

    It begins where a window of 12 % holds most sizes, the smaller ones if there are two such, as stars are smaller
    than galaxies; then sizes and both components of the shape are clipped at 3 σ, σ being 1.4826 times the median
    absolute deviation, or 2 % where that is less.
    """
    size = np.log(fwhm_px)
    if size.size == 0:
        return np.zeros(0, np.bool_), float("nan")
    ordered = np.sort(size)
    counts = np.searchsorted(ordered, ordered + _WINDOW, "right") - np.arange(ordered.size)
    start = int(np.argmax(counts))
    centre = float(np.median(ordered[start : start + counts[start]]))
    kept = np.abs(size - centre) < _FIRST_REACH
    for _ in range(iterations):
        before = kept
        kept = np.abs(size - centre) < _FIRST_REACH
        for value in (size, g1, g2):
            middle = np.median(value[before])
            sigma = max(1.4826 * float(np.median(np.abs(value[before] - middle))), _NARROWEST)
            kept = kept & (np.abs(value - middle) < 3 * sigma)
        if not kept.any():
            return kept, float("nan")
        if np.array_equal(kept, before):
            break
    inside = size[kept]
    return kept, 1.4826 * float(np.median(np.abs(inside - np.median(inside))))
