"""Objects on the slit, and where they run along the dispersion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from processors.errors import BadFrame
from processors.spectra.fitting import Polynomial, fit_clipped
from processors.spectra.peaks import background, centres, noise_of, peak_width
from processors.spectra.setup import ExtractionOptions
from processors.spectra.slit_image import SlitImage

F8 = NDArray[np.float64]
_BLOCKS = 24
_LEAST_BLOCKS = 5  # an object is seen at a fifth of the wavelengths; less is a hot spot or a line's leftover


@dataclass(frozen=True, slots=True)
class Trace:
    """An object: its slit pixel (from 0) along the dispersion, its FWHM there, and how far it stands out of the noise.

    `blocks` are the stretches of the spectrum, of 24, in which it was found.
    """

    position: Polynomial
    fwhm_px: float
    signal_to_noise: float
    blocks: int


def find_traces(image: SlitImage, options: ExtractionOptions) -> tuple[Trace, ...]:
    """Objects on the slit, that of the highest peak first.

    Raises
    ------
    BadFrame
        There is none.
    """
    blocks, errors, edges = _blocks(image)
    weight = 1 / np.maximum(errors, 1e-12) ** 2 * np.isfinite(blocks)
    seen = weight.sum(0) > 0
    profile = np.where(seen, (np.nan_to_num(blocks) * weight).sum(0) / np.maximum(weight.sum(0), 1e-30), 0)
    profile = np.interp(np.arange(profile.size), np.flatnonzero(seen), profile[seen])
    # smoothed by about the seeing, so that single columns do not stand out
    smooth = gaussian_filter1d(profile - background(profile, max(61, profile.size // 8)), 1.5)
    lit = np.flatnonzero(seen)
    sigma = noise_of(smooth[lit[0] : lit[-1] + 1])
    peaks, _ = find_peaks(smooth, height=options.threshold * sigma, prominence=options.threshold * sigma)
    found: list[Trace] = []
    for peak in peaks[np.argsort(-smooth[peaks])]:
        width = peak_width(smooth, int(peak), 40)
        # the smoothing's own width goes; what is then narrower than 1.2 pixels is a hot column
        fwhm = float(np.sqrt(max(width**2 - (1.5 * 2.355) ** 2, 0)))
        if fwhm < 1.2 or not lit[0] + fwhm < peak < lit[-1] - fwhm:
            continue
        trace = _follow(blocks, errors, edges, image, int(peak), fwhm, float(smooth[peak] / max(sigma, 1e-12)))
        if trace is not None and not any(_same(trace, other) for other in found):
            found.append(trace)
    if not found:
        highest = float(smooth.max() / max(sigma, 1e-12))
        needed = f"{options.threshold:g} are needed, and light in {_LEAST_BLOCKS} of {_BLOCKS} stretches"
        raise BadFrame(f"no object on the slit: the most stands {highest:.1f} σ out, {needed}")
    return tuple(found)


def _same(trace: Trace, brighter: Trace) -> bool:
    """Whether a trace is a brighter one over again, or sharper than a point source can be beside it."""
    place = np.linspace(0, trace.position.pixels - 1, 9)
    apart = float(np.median(np.abs(trace.position(place) - brighter.position(place))))
    return apart < max(trace.fwhm_px, brighter.fwhm_px) or trace.fwhm_px < 0.4 * brighter.fwhm_px


def _blocks(image: SlitImage) -> tuple[F8, F8, NDArray[np.intp]]:
    """Median profile of each of `_BLOCKS` stretches, less its sky; its error (both (block, slit)); the stretches."""
    rows, columns = image.sci.shape
    edges = np.linspace(0, rows, _BLOCKS + 1).astype(np.intp)
    shown = image.usable | image.saturated
    data = np.where(shown, image.sci, np.nan)
    usable = shown.any(1)
    sky = np.zeros(rows)
    sky[usable] = np.nanmedian(data[usable], axis=1)
    data -= sky[:, None]
    blocks, errors = np.full((_BLOCKS, columns), np.nan), np.full((_BLOCKS, columns), np.inf)
    for number in range(_BLOCKS):
        part = slice(edges[number], edges[number + 1])
        count = shown[part].sum(0)
        # a column of which half is bad says nothing
        good = count * 2 > edges[number + 1] - edges[number]
        blocks[number, good] = np.nanmedian(data[part][:, good], axis=0)
        mean = np.where(shown[part], image.var[part], 0).sum(0)[good] / count[good]
        errors[number, good] = np.sqrt(np.pi / 2 * mean / count[good])
    return blocks, errors, edges


def _follow(
    blocks: F8, errors: F8, edges: NDArray[np.intp], image: SlitImage, peak: int, fwhm: float, ratio: float
) -> Trace | None:
    """Centre the object in every block, outwards from where it is brightest, and fit a polynomial of third order."""
    middles = (edges[:-1] + edges[1:] - 1) / 2
    reach = max(3, round(fwhm))
    low, high = max(0, peak - reach), peak + reach + 1
    shown = np.nan_to_num(blocks[:, low:high]).max(1) / np.nan_to_num(errors[:, low:high], posinf=1e30).min(1)
    start = int(np.argmax(shown))
    places, spreads, widths = np.full(_BLOCKS, np.nan), np.full(_BLOCKS, np.nan), []
    for direction in (range(start, _BLOCKS), range(start - 1, -1, -1)):
        last = float(peak) if not np.isfinite(places[start]) else float(places[start])
        for number in direction:
            signal, var = np.nan_to_num(blocks[number]), np.nan_to_num(errors[number], posinf=1e15) ** 2
            near = round(last)
            low, high = max(0, near - reach), min(signal.size, near + reach + 1)
            if low >= high:
                break
            top = low + int(np.argmax(signal[low:high]))
            if signal[top] < 4 * np.sqrt(var[top]):
                continue
            place, error = centres(signal, var, np.array([top]), fwhm)
            if np.isfinite(place[0]) and error[0] < 0.5 * fwhm:
                places[number], spreads[number] = place[0], error[0]
                widths.append(peak_width(signal, top, 4 * reach))
                last = float(place[0])
    good = np.isfinite(places)
    if int(good.sum()) < _LEAST_BLOCKS:
        return None
    order = min(3, (int(good.sum()) - 1) // 4)
    pixels = image.sci.shape[0]
    fit, kept = fit_clipped(middles[good], places[good], np.hypot(spreads[good], 0.03), pixels, order)
    return Trace(fit, float(np.median(widths)), ratio, int(kept.sum()))
