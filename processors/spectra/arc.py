"""Lines of an arc frame, found along the trace of the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from processors.errors import NoCalibration
from processors.spectra.fitting import Polynomial
from processors.spectra.peaks import background, centres, noise_of, peak_width
from processors.spectra.slit_image import SlitImage

F8 = NDArray[np.float64]
_HALF_WIDTH = 10  # slit pixels on either side of the trace


@dataclass(frozen=True, slots=True)
class ArcLines:
    """Lines of a lamp: position and its error, pixels from 0; signal to noise; `fwhm_px` of a single line."""

    place: F8
    error_px: F8
    signal_to_noise: F8
    fwhm_px: float
    saturated: int


def arc_spectrum(arc: SlitImage, trace: Polynomial) -> tuple[F8, F8, NDArray[np.bool_]]:
    """Median of the pixels about the trace, e- per slit pixel; its variance; whether most of them are saturated.

    Raises
    ------
    NoCalibration
        More than a fifth of the spectrum has no good pixel.
    """
    rows, columns = arc.sci.shape
    centre = np.rint(trace(np.arange(rows))).astype(np.intp)
    index = centre[:, None] + np.arange(-_HALF_WIDTH, _HALF_WIDTH + 1)
    inside = (index >= 0) & (index < columns)
    index = np.clip(index, 0, columns - 1)
    take = np.arange(rows)[:, None], index
    saturated = (inside & arc.saturated[take]).sum(1) * 2 > inside.sum(1)
    # a saturated pixel keeps its value here: it is where the line is, and the line as a whole is told apart
    good = inside & (arc.usable | arc.saturated)[take]
    count = good.sum(1)
    if (count == 0).mean() > 0.2:
        raise NoCalibration(f"the arc has no good pixels along {(count == 0).mean():.0%} of the trace")
    ordered = np.sort(np.where(good, arc.sci[take], np.inf), axis=1)
    there = np.maximum(count, 1)
    pick = np.arange(rows)
    signal = (ordered[pick, (there - 1) // 2] + ordered[pick, there // 2]) / 2
    # the median of n values has pi / 2 times the variance of their mean
    var = np.pi / 2 * np.where(good, arc.var[take], 0).sum(1) / there**2
    known = count > 0
    signal = np.interp(pick, pick[known], signal[known])
    return signal, np.interp(pick, pick[known], var[known]), saturated


def find_lines(signal: F8, var: F8, saturated: NDArray[np.bool_], threshold: float = 5.0) -> ArcLines:
    """Lines that stand `threshold` σ above the background; saturated ones are counted and left out.

    Raises
    ------
    NoCalibration
        There are fewer than five good lines; the message says how many are saturated.
    """
    above = signal - background(signal, max(41, signal.size // 20))
    sigma = np.sqrt(var + noise_of(above) ** 2)
    peaks, _ = find_peaks(above, height=threshold * sigma, prominence=threshold * sigma)
    if peaks.size < 5:
        raise NoCalibration(f"the arc shows {peaks.size} lines: is the lamp on?")
    ratio = above[peaks] / sigma[peaks]
    widths = np.array([peak_width(above, int(peak), 40) for peak in peaks])
    full = np.array([saturated[max(0, peak - 2) : peak + 3].any() for peak in peaks])
    clear = ~full & (ratio >= np.median(ratio))
    fwhm = float(np.median(widths[clear if clear.any() else ~full])) if not full.all() else 0.0
    place, error = centres(above, var, peaks, max(fwhm, 1.5))
    # narrower than half a line is no line; one at the edge is only half there
    edge = max(2.0, fwhm / 2)
    single = (widths > fwhm / 2) & np.isfinite(place) & (place > edge) & (place < signal.size - 1 - edge)
    # a line much wider than the others is a blend, and where it lies is not known that well
    error = np.hypot(error, np.where(widths > 1.4 * fwhm, fwhm / 6, 0.02))
    kept = single & ~full
    if int(kept.sum()) < 5:
        raise NoCalibration(f"the arc shows {int(kept.sum())} good lines and {int(full.sum())} saturated ones")
    return ArcLines(place[kept], error[kept], ratio[kept], fwhm, int(full.sum()))
