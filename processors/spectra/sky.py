"""The sky beside an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.spectra.setup import ExtractionOptions
from processors.spectra.slit_image import SlitImage
from processors.spectra.trace import Trace

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sky:
    """A polynomial across the slit for every pixel of wavelength, in offset from the trace over `scale` pixels.

    `coefficients` (wavelength, order + 1), e-; `covariance` (wavelength, order + 1, order + 1), e-².
    """

    coefficients: F8
    covariance: F8
    scale: float

    def model(self, offset: F8) -> F8:
        """Sky at offsets (wavelength, n) from the trace, e- per pixel."""
        basis = _powers(offset / self.scale, self.coefficients.shape[1])
        return np.asarray((basis @ self.coefficients[:, :, None])[..., 0])

    def var_of_sum(self, offset: F8, weight: F8) -> F8:
        """Variance of the sky summed over offsets with weights (wavelength, n), e-²."""
        basis = (_powers(offset / self.scale, self.coefficients.shape[1]) * weight[..., None]).sum(1)
        return np.asarray(np.einsum("ri,rij,rj->r", basis, self.covariance, basis))


def fit_sky(image: SlitImage, trace: Trace, others: tuple[Trace, ...], options: ExtractionOptions) -> Sky:
    """Fit the sky on both sides of a trace, without the pixels that other objects or cosmic rays light.

    Raises
    ------
    BadFrame
        There is no room for sky on the slit.
    """
    rows, columns = image.sci.shape
    row = np.arange(rows)
    centre = trace.position(row)
    gap = options.gap_fwhm * trace.fwhm_px
    reach = int(np.ceil(gap + options.sky_px))
    near = np.rint(centre).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
    place = np.clip(near, 0, columns - 1)
    offset = near - centre[:, None]
    good = (near == place) & image.usable[row[:, None], place] & (np.abs(offset) >= gap)
    for other in others:
        good &= np.abs(near - other.position(row)[:, None]) >= 1.5 * other.fwhm_px
    count = good.sum(1)
    if np.median(count) < 5 * (options.sky_order + 1):
        raise BadFrame(f"only {np.median(count):.0f} pixels of sky beside the object at {np.median(centre):.0f}")
    data, var = image.sci[row[:, None], place], image.var[row[:, None], place]
    # the centre and scatter of the pixels first: what stands far out must not pull the polynomial
    there = count > 0
    middle, scatter = np.zeros(rows), np.ones(rows)
    masked = np.where(good, data, np.nan)[there]
    middle[there] = np.nanmedian(masked, axis=1)
    scatter[there] = 1.4826 * np.nanmedian(np.abs(masked - middle[there, None]), axis=1)
    # the pixels' own variance holds their noise; a mean one does not favour those that happen to be faint
    level = np.where(good, var, 0).sum(1) / np.maximum(count, 1)
    sigma = np.maximum(scatter, np.sqrt(np.where(there, level, 1)))
    good &= np.abs(data - middle[:, None]) < options.reject * sigma[:, None]
    scale = float(reach)
    basis = _powers(offset / scale, options.sky_order + 1)
    for _ in range(3):
        coefficients, covariance = _solve(basis, data, good, sigma**2)
        away = np.abs(data - (basis @ coefficients[:, :, None])[..., 0])
        kept = good & (away < 4 * sigma[:, None])
        if (kept == good).all():
            break
        good = kept
    return Sky(coefficients, covariance, scale)


def _solve(basis: F8, data: F8, good: NDArray[np.bool_], var: F8) -> tuple[F8, F8]:
    """Least squares of all rows at once; where too few pixels are left, the higher orders are held at zero."""
    weight = good / var[:, None]
    normal = np.einsum("rni,rn,rnj->rij", basis, weight, basis)
    right = np.einsum("rni,rn->ri", basis, weight * data)
    terms = basis.shape[2]
    # a weak prior about zero keeps a one-sided or empty row solvable and changes nothing else
    floor = np.maximum(normal[:, 0, 0], 1e-12) * 1e-6
    few = good.sum(1) < 3 * terms
    held = np.where(few[:, None], floor[:, None] * 1e12, floor[:, None]) * np.eye(terms).diagonal()
    held[:, 0] = np.where(good.any(1), 0.0, 1.0)
    normal = normal + held[:, :, None] * np.eye(terms)
    covariance = np.linalg.inv(normal)
    return np.einsum("rij,rj->ri", covariance, right), covariance


def _powers(x: F8, terms: int) -> F8:
    return np.asarray(x[..., None] ** np.arange(terms))
