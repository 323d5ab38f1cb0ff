"""How an object's light is spread across the slit, measured on the object itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

F8 = NDArray[np.float64]
_BLOCKS = 8
_STEP = 0.5  # pixels of offset
_ENOUGH = 2000.0  # squared signal to noise of a step in a block for a profile of its own
_LOOSE = 0.1  # a profile is a Gaussian to this fraction of it
_WINGS = 0.002  # and to this much per pixel of the whole


@dataclass(frozen=True, slots=True)
class Profile:
    """Light per pixel at `offsets` from the trace, for the wavelengths `middles`: values (middle, offset)."""

    offsets: F8
    middles: F8
    values: F8

    def __call__(self, offset: F8) -> F8:
        """The profile, not normalised, at offsets (wavelength, n) of all wavelengths; never negative."""
        rows = np.arange(offset.shape[0])
        upper = np.clip(np.searchsorted(self.middles, rows), 1, max(self.middles.size - 1, 1))
        upper = np.minimum(upper, self.middles.size - 1)
        lower = np.maximum(upper - 1, 0)
        span = np.maximum(self.middles[upper] - self.middles[lower], 1e-9)
        part = np.clip((rows - self.middles[lower]) / span, 0, 1)[:, None]
        place = np.clip((offset - self.offsets[0]) / _STEP, 0, self.offsets.size - 1.001)
        left = place.astype(np.intp)
        right = place - left
        total = np.zeros(offset.shape)
        for block, share in ((lower, 1 - part), (upper, part)):
            low, high = self.values[block[:, None], left], self.values[block[:, None], left + 1]
            total += share * (low + right * (high - low))
        return np.maximum(total, 0)


def fit_profile(offset: F8, data: F8, var: F8, good: NDArray[np.bool_], flux: F8, fwhm: float) -> Profile:
    """Mean of data / flux in steps of half a pixel from the trace, in stretches of the spectrum with enough light.

    All arrays are (wavelength, n) but `flux` (wavelength,). A stretch without enough light takes the mean of all; where
    there is no light at all the profile is a Gaussian of width `fwhm`.
    """
    rows = offset.shape[0]
    reach = float(np.ceil(np.abs(offset).max()))
    offsets = np.arange(-reach, reach + _STEP, _STEP)
    edges = np.linspace(0, rows, _BLOCKS + 1).astype(np.intp)
    # as least squares has it for data = flux * profile: sums of data flux / var over flux² / var. The variance is the
    # mean over the aperture, so that a pixel's own noise does not weigh it
    count = np.maximum(good.sum(1), 1)
    # its neighbours' flux weighs a wavelength: with its own, noise would weigh itself
    smooth = _running_median(flux)
    weight = smooth / np.maximum(np.where(good, var, 0).sum(1) / count, 1e-12)
    # a wavelength that stands far above its neighbours is one with a cosmic ray
    weight[flux > 3 * smooth] = 0
    above, below = weight[:, None] * data * good, weight[:, None] * flux[:, None] * good
    place = np.clip(np.rint((offset + reach) / _STEP).astype(np.intp), 0, offsets.size - 1)
    block = np.searchsorted(edges, np.arange(rows), side="right")[:, None] - 1
    index = (block * offsets.size + place).ravel()
    size = _BLOCKS * offsets.size
    sums = np.bincount(index, above.ravel(), size).reshape(_BLOCKS, -1)
    norms = np.maximum(np.bincount(index, below.ravel(), size).reshape(_BLOCKS, -1), 0)
    # a profile's noise is the flux's own, and would raise the flux of a faint object: what is expected counts as much
    # as if it were known to these errors
    gaussian = _gaussian(offsets, sums.sum(0), norms.sum(0), fwhm)
    prior = 1 / (_LOOSE * gaussian + _WINGS) ** 2
    mean = (sums.sum(0) + prior * gaussian) / (norms.sum(0) + prior)
    enough = norms.mean(1) > _ENOUGH
    values = np.where(enough[:, None], (sums + prior * mean) / (norms + prior), mean)
    return Profile(offsets, (edges[:-1] + edges[1:] - 1) / 2, values)


def _gaussian(offsets: F8, sums: F8, norms: F8, fwhm: float) -> F8:
    """The Gaussian of area 1 that fits best, its width within a factor of 1.5 of `fwhm`."""
    widths = fwhm * np.geomspace(1 / 1.5, 1.5, 41)
    shapes = np.exp(-4 * np.log(2) * (offsets / widths[:, None]) ** 2)
    # least squares with a free height: the best shape is that with the highest correlation
    best = shapes[np.argmax((shapes @ sums) / np.sqrt(np.maximum(shapes**2 @ norms, 1e-30)))]
    return np.asarray(best / (best.sum() * _STEP))


def _running_median(flux: F8) -> F8:
    return np.asarray(np.maximum(median_filter(flux, 25, mode="nearest"), 1e-12))
