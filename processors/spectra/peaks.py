"""Peaks of a one-dimensional signal: arc lines along the wavelength, objects along the slit."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, percentile_filter, uniform_filter1d

F8 = NDArray[np.float64]
FWHM_SIGMA: Final = 2 * math.sqrt(2 * math.log(2))
FILTER: Final = 0.6


def background(signal: F8, width: int) -> F8:
    """Slow background: a running low percentile over `width` pixels, smoothed; it lies at the median of the noise.

    The 30th percentile of a window that lines fill by a third is the median of what is between them.
    """
    low = percentile_filter(signal, 30, size=min(width, signal.size), mode="nearest")
    return np.asarray(uniform_filter1d(low, min(width, signal.size), mode="nearest"))


def noise_of(signal: F8) -> float:
    """σ of what varies from pixel to pixel, from the lower half about the median, which peaks do not reach."""
    middle = float(np.median(signal))
    below = signal[signal <= middle]
    return 1.4826 * float(np.median(middle - below))


def peak_width(signal: F8, peak: int, most: int) -> float:
    """FWHM of a peak above zero, in pixels, by linear interpolation; at most `most` to either side."""
    half = signal[peak] / 2
    sides = 0.0
    for step in (-1, 1):
        distance, previous = 0, float(signal[peak])
        while True:
            place = peak + step * (distance + 1)
            if distance >= most or not 0 <= place < signal.size:
                sides += distance
                break
            value = float(signal[place])
            if value <= half:
                sides += distance + (previous - half) / max(previous - value, 1e-30)
                break
            distance, previous = distance + 1, value
    return sides


def centres(signal: F8, var: F8, peaks: NDArray[np.intp], fwhm: float) -> tuple[F8, F8]:
    """Positions of peaks to a fraction of a pixel, and their errors; NaN where there is no maximum within FWHM / 2.

    A peak is the zero of the signal's convolution with the derivative of a Gaussian, which always ends, unlike a fit
    (the idea of IRAF's center1d, Tody 1986, SPIE 627, 733). The Gaussian has `FILTER` of the peak's width, so that
    neighbours disturb less. The error follows from the variance by linear propagation.
    """
    sigma = FILTER * max(fwhm, 1.5) / FWHM_SIGMA
    reach = max(2, math.ceil(3 * sigma))
    offset = np.arange(-reach, reach + 1, dtype=np.float64)
    slope = offset * np.exp(-0.5 * (offset / sigma) ** 2)
    # the filter sees v[i + k] slope[k]: positive left of a peak, negative right of it
    response = convolve1d(signal, slope[::-1], mode="nearest")
    spread = convolve1d(var, slope**2, mode="nearest")
    found, errors = np.full(peaks.size, np.nan), np.full(peaks.size, np.nan)
    most = math.ceil(fwhm / 2)
    for number, peak in enumerate(peaks):
        low, high = max(0, int(peak) - most), min(signal.size - 1, int(peak) + most)
        crossing = [i for i in range(low, high) if response[i] > 0 >= response[i + 1]]
        if not crossing:
            continue
        i = min(crossing, key=lambda at: abs(at + 0.5 - int(peak)))
        fall = response[i] - response[i + 1]
        found[number] = i + response[i] / fall
        errors[number] = math.sqrt(spread[i]) / fall
    return found, errors
