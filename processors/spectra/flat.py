"""Flats of a spectrograph."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from processors.errors import NoCalibration
from processors.spectra.setup import SpectrographSetup

_LEAST_LIGHT: Final = 0.3  # of the slit's median: the slit's ends


def pixel_flat(flat: NDArray[np.float32], setup: SpectrographSetup) -> NDArray[np.float32]:
    """A lamp flat (rows, columns) without the lamp's spectrum: each wavelength divided by its own level on the slit.

    What stays is the response from pixel to pixel and along the slit, about 1, so that a frame divided by it is still
    in electrons. Where the lamp gives less than a hundredth of its brightest it is 1: nothing is known of those
    wavelengths. Slit pixels that the slit does not light are 0, which the reduction masks (NO_FLAT).

    Raises
    ------
    NoCalibration
        The flat holds no light.
    """
    turned = flat if setup.dispersion_axis == "y" else flat.T
    low, high = (0, turned.shape[1]) if setup.slit is None else setup.slit
    lit = np.where(np.isfinite(turned[:, low:high]), turned[:, low:high], 0).astype(np.float64)
    level = uniform_filter1d(np.median(lit, axis=1), 15, mode="nearest")
    if not level.max() > 0:
        raise NoCalibration("the flat holds no light on the slit")
    bright = level > 0.01 * level.max()
    made = np.zeros(turned.shape, np.float32)
    made[~bright, low:high] = 1
    made[bright, low:high] = lit[bright] / level[bright, None]
    made[:, np.median(made[bright], axis=0) < _LEAST_LIGHT] = 0
    return np.ascontiguousarray(made if setup.dispersion_axis == "y" else made.T)
