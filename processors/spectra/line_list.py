"""The lines that lamps show together, and how a spectrograph blends them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.spectra.lamps import known_lamps, lamp_table
from processors.spectra.peaks import FILTER, FWHM_SIGMA


@dataclass(frozen=True, slots=True)
class LineList:
    """Lines in order of wavelength: air wavelength Å, rough strength, and the error of a blend's wavelength, Å."""

    wavelength_a: NDArray[np.float64]
    strength: NDArray[np.float64]
    error_a: NDArray[np.float64]

    def blended(self, fwhm_a: float) -> LineList:
        """The list as a spectrograph of this resolution shows it, its lines found as `peaks.centres` finds an arc's.

        The lines are drawn as Gaussians and filtered; maxima are the lines that are seen, so that what lies in
        another's wing is lost and close lines are one. As listed strengths are rough, each is taken to be wrong by half
        of itself, and what that does to the maximum's place is its error.
        """
        sigma = fwhm_a / FWHM_SIGMA * math.hypot(1, FILTER)
        at = self.wavelength_a[:, None]  # every line is near a maximum, or has none
        for _ in range(100):
            distance = self.wavelength_a - at
            weight = self.strength * np.exp(-0.5 * (distance / sigma) ** 2)
            # climbs: the mean shift to a maximum of a sum of Gaussians (Cheng 1995, IEEE PAMI 17, 790)
            moved = ((weight * self.wavelength_a).sum(1) / weight.sum(1))[:, None]
            still = np.abs(moved - at).max() < 1e-3 * fwhm_a
            at = moved
            if still:
                break
        place = np.sort(at[:, 0])
        place = place[np.diff(place, prepend=-np.inf) > 0.05 * fwhm_a]
        distance = self.wavelength_a - place[:, None]
        weight = self.strength * np.exp(-0.5 * (distance / sigma) ** 2)
        curvature = np.abs((weight * (1 - (distance / sigma) ** 2)).sum(1))
        shift = np.sqrt(((0.5 * weight * distance) ** 2).sum(1)) / np.maximum(curvature, 1e-30)
        height = weight.sum(1)
        return LineList(place, height, np.hypot(shift, self.error_a.max()))


def lamp_lines(lamps: Sequence[str]) -> LineList:
    """Lines of some lamps, by the names of their ions (`He`, `HeAr` is two: `He`, `Ar`).

    Raises
    ------
    BadInstrument
        There is no list for one of them.
    """
    table = lamp_table()
    lines = sorted(line for lamp in known_lamps(lamps) for line in table[lamp])
    wavelength, strength = np.array(lines, np.float64).T
    return LineList(wavelength.copy(), strength.copy(), np.full(len(lines), 0.01))
