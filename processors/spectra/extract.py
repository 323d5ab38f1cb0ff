"""Extraction of a spectrum from a sky-subtracted trace: boxcar, and optimal after Horne (1986, PASP 98, 609)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from processors.spectra.profile import Profile, fit_profile
from processors.spectra.setup import ExtractionOptions
from processors.spectra.sky import Sky
from processors.spectra.slit_image import SlitImage
from processors.spectra.trace import Trace

F8 = NDArray[np.float64]
_LEAST_PROFILE = 0.3  # with less of an object's light on good pixels there is no flux


class SpectrumFlag(IntFlag):
    """Why a pixel of a spectrum is not to be trusted."""

    NO_DATA = 1  # most of the light fell on bad pixels; FLUX and VAR are 0
    REPAIRED = 2  # a bad pixel or a cosmic ray in the aperture was filled in from the object's profile
    SATURATED = 4  # a saturated pixel lies in the aperture
    EXTRAPOLATED = 8  # there is no arc line on this side


@dataclass(frozen=True, slots=True)
class Extraction:
    """A spectrum in pixels, each an array over wavelength, float64.

    Attributes
    ----------
    flux_e, var_e2 : boxcar, bad pixels filled in from the profile, e- and e-²
    optimal_e, optimal_var_e2 : Horne's
    sky_e : in the boxcar, e-
    flags : uint8, bits of `SpectrumFlag`
    aperture_px : width of the boxcar
    cosmics : pixels that stood out of the profile
    """

    flux_e: F8
    var_e2: F8
    optimal_e: F8
    optimal_var_e2: F8
    sky_e: F8
    flags: NDArray[np.uint8]
    aperture_px: float
    cosmics: int


@dataclass(frozen=True, slots=True)
class _Window:
    """Pixels about the trace, (wavelength, n): offset from it, data less sky, sky, usable, saturated, boxcar weight."""

    offset: F8
    data: F8
    sky: F8
    var: F8
    usable: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    weight: F8


def extract(image: SlitImage, trace: Trace, sky: Sky, options: ExtractionOptions) -> Extraction:
    """Extract an object.

    The boxcar counts pixels at its ends by the part that lies in it. Its variance and Horne's hold read noise, photons
    of object and sky as the models give them (not as each pixel shows them, which favours faint pixels), and the error
    of the sky's fit.
    """
    half = options.aperture_fwhm * trace.fwhm_px
    window = _window(image, trace, sky, half)
    read_var = image.read_var
    good = window.usable.copy()
    flux = np.where(good, window.data * window.weight, 0).sum(1)
    for _ in range(6):
        profile = fit_profile(window.offset, window.data, window.var, good, flux, trace.fwhm_px)
        shape = _normalised(profile, window)
        var = read_var + np.maximum(flux[:, None] * shape, 0) + np.maximum(window.sky, 0)
        weight = np.where(good, shape / var, 0)
        norm = (weight * shape).sum(1)
        flux = (weight * window.data).sum(1) / np.maximum(norm, 1e-12)
        struck = _struck(window, shape, var, flux, good, options.reject)
        if not struck.any():
            break
        good &= ~struck
    optimal_var = (weight**2 * var).sum(1) / np.maximum(norm, 1e-12) ** 2
    optimal_var += sky.var_of_sum(window.offset, weight / np.maximum(norm, 1e-12)[:, None])
    return _result(window, good, shape, var, flux, optimal_var, sky, 2 * half)


def _window(image: SlitImage, trace: Trace, sky: Sky, half: float) -> _Window:
    rows, columns = image.sci.shape
    row = np.arange(rows)
    centre = trace.position(row)
    reach = int(np.ceil(half)) + 1
    near = np.rint(centre).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
    place = np.clip(near, 0, columns - 1)
    take = row[:, None], place
    inside = near == place
    offset = near - centre[:, None]
    model = sky.model(offset)
    # the part of each pixel that lies between -half and half of the trace
    weight = np.clip(np.minimum(offset + 0.5, half) - np.maximum(offset - 0.5, -half), 0, 1)
    return _Window(
        offset, image.sci[take] - model, model, image.var[take], inside & image.usable[take],
        inside & image.saturated[take], weight,
    )  # fmt: skip


def _normalised(profile: Profile, window: _Window) -> F8:
    """The profile on the pixels; the boxcar holds 1 of it, so that both extractions give the same flux."""
    shape = profile(window.offset)
    return np.asarray(shape / np.maximum((shape * window.weight).sum(1), 1e-12)[:, None])


def _struck(window: _Window, shape: F8, var: F8, flux: F8, good: NDArray[np.bool_], reject: float) -> NDArray[np.bool_]:
    """The pixel of each wavelength that stands out most, if it stands out enough (Horne 1986, step 6).

    A tenth of the object's light there is allowed for, as no profile is perfect.
    """
    limit = reject * np.sqrt(var) + 0.1 * np.abs(flux)[:, None] * shape
    excess = np.where(good, (window.data - flux[:, None] * shape) / limit, 0)
    struck = np.zeros_like(good)
    worst = np.argmax(excess, axis=1)
    row = np.arange(good.shape[0])
    struck[row, worst] = excess[row, worst] > 1
    return struck


def _result(
    window: _Window, good: NDArray[np.bool_], shape: F8, var: F8, optimal: F8, optimal_var: F8, sky: Sky, width: float
) -> Extraction:
    weight = window.weight
    in_box = weight > 0
    filled = np.where(good, window.data, optimal[:, None] * shape)
    boxcar = (filled * weight).sum(1)
    lost = np.where(~good & in_box, shape * weight, 0).sum(1)
    # what was filled in has the error of the optimal flux, which was made from the pixels that are there: their
    # covariance with it is their part of the light times its variance. The sky's error is common to all pixels
    boxcar_var = np.where(good, var * weight**2, 0).sum(1) + (lost**2 + 2 * lost * (1 - lost)) * optimal_var
    boxcar_var += sky.var_of_sum(window.offset, weight)
    missing = lost > 1 - _LEAST_PROFILE
    flags = np.where(missing, SpectrumFlag.NO_DATA, 0).astype(np.uint8)
    flags |= np.where((~good & in_box).any(1) & ~missing, SpectrumFlag.REPAIRED, 0).astype(np.uint8)
    flags |= np.where((window.saturated & in_box).any(1), SpectrumFlag.SATURATED, 0).astype(np.uint8)
    boxcar, boxcar_var, optimal, optimal_var = (
        np.where(missing, 0.0, plane) for plane in (boxcar, boxcar_var, optimal, optimal_var)
    )
    return Extraction(
        flux_e=boxcar,
        var_e2=boxcar_var,
        optimal_e=optimal,
        optimal_var_e2=optimal_var,
        sky_e=(window.sky * weight).sum(1),
        flags=flags,
        aperture_px=width,
        cosmics=int((window.usable & ~good).sum()),
    )
