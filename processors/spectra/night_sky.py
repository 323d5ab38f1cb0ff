"""The sky's own lines as a check of the wavelengths: instruments bend between the arc and the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.spectra.peaks import background, centres, noise_of
from processors.spectra.wavelength import WavelengthSolution

F8 = NDArray[np.float64]
# Air wavelengths, Å, and how well they are known at low resolution. [O I]: NIST ASD. Na D: the doublet's mean by
# strengths between 1:1 and 2:1, with the lines of OH (8-2) that blend with it. OH: Osterbrock et al. 1996 (PASP 108,
# 277), lines that stand alone.
SKY_LINES: Final[tuple[tuple[str, float, float], ...]] = (
    ("OI 5577", 5577.339, 0.02),
    ("NaD 5892", 5892.4, 1.5),
    ("OI 6300", 6300.304, 0.02),
    ("OI 6364", 6363.776, 0.3),
    ("OH 7914", 7913.708, 0.3),
    ("OH 8399", 8399.170, 0.3),
    ("OH 8886", 8885.850, 0.3),
)
_SEARCH_FWHM = 2.0  # a line may be off by so many of its widths
_LEAST = 6.0  # signal to noise of a line that is worth measuring


@dataclass(frozen=True, slots=True)
class SkyLine:
    """A line of the sky as it was found: air wavelength Å, found less true in Å and in pixels, error in pixels."""

    name: str
    wavelength_a: float
    residual_a: float
    residual_px: float
    error_px: float


def measure_sky_lines(sky_e: F8, var_e2: F8, solution: WavelengthSolution) -> tuple[SkyLine, ...]:
    """Lines of the sky's spectrum that stand out, and how far the arc's solution misses them."""
    pixels = np.arange(sky_e.size, dtype=np.float64)
    wavelength = solution.polynomial(pixels)
    slope = solution.polynomial.slope(pixels)
    fwhm = solution.fwhm_a / float(np.abs(slope[sky_e.size // 2]))
    above = sky_e - background(sky_e, max(41, sky_e.size // 20))
    sigma = np.sqrt(var_e2 + noise_of(above) ** 2)
    reach = int(np.ceil(_SEARCH_FWHM * fwhm))
    found = []
    for name, true, error_a in SKY_LINES:
        expected = int(np.argmin(np.abs(wavelength - true)))
        low, high = expected - reach, expected + reach + 1
        if low < fwhm or high > sky_e.size - fwhm:
            continue
        top = low + int(np.argmax(above[low:high]))
        if top in (low, high - 1) or above[top] < _LEAST * sigma[top]:
            continue
        place, error = centres(above, var_e2, np.array([top]), fwhm)
        if not np.isfinite(place[0]):
            continue
        here = float(np.abs(slope[top]))
        missed = float(solution.polynomial(place)[0]) - true
        sign = float(np.sign(slope[top]))
        found.append(SkyLine(name, true, missed, sign * missed / here, float(np.hypot(error[0], error_a / here))))
    return tuple(found)


def sky_shift(lines: tuple[SkyLine, ...]) -> float:
    """By how many pixels the sky lies above where the arc has it: the mean by errors, 0 without lines."""
    if not lines:
        return 0.0
    weight = np.array([1 / max(line.error_px, 0.02) ** 2 for line in lines])
    return float(np.average([line.residual_px for line in lines], weights=weight))
