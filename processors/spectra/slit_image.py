"""A detector of a slit spectrograph, turned so that a row of the array is a pixel of wavelength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.planes import Mask
from processors.spectra.setup import SpectrographSetup

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SlitImage:
    """Planes of shape (wavelength, slit), float64: `sci` e-, `var` e-², `usable` and `saturated` bool.

    Slit pixels that the slit does not light are not usable. Saturated pixels are neither, but keep their value, since
    they show where the light is; others that are not usable hold 0.
    """

    sci: F8
    var: F8
    usable: NDArray[np.bool_]
    saturated: NDArray[np.bool_]

    @property
    def read_var(self) -> float:
        """Variance without light, e-²: the median of what the variance holds beyond the electrons."""
        beyond = (self.var - np.maximum(self.sci, 0))[self.usable]
        return max(float(np.median(beyond)), 1e-3)


def slit_image(
    sci: NDArray[Any], var: NDArray[Any], mask: NDArray[np.uint16], setup: SpectrographSetup, what: str = "the frame"
) -> SlitImage:
    """Turn reduced planes (rows, columns) by the setup's dispersion axis.

    Raises
    ------
    BadFrame
        The planes differ in shape; a pixel that is not masked is NaN or has no variance; or hardly any pixel is good.
    """
    if sci.ndim != 2 or sci.shape != var.shape or sci.shape != mask.shape:
        raise BadFrame(f"{what}: planes of shapes {sci.shape}, {var.shape} and {mask.shape}")
    if setup.dispersion_axis == "x":
        sci, var, mask = sci.T, var.T, mask.T
    usable = mask == 0
    if setup.slit is not None:
        low, high = setup.slit
        if not 0 <= low < high <= sci.shape[1]:
            raise BadFrame(f"{what}: the slit's pixels {low}:{high} are not within {sci.shape[1]}")
        usable[:, :low] = False
        usable[:, high:] = False
    # the variance overflows for no number that a detector gives, so that inf is as wrong as NaN
    wrong = usable & ~(np.isfinite(sci) & np.isfinite(var) & (var > 0))
    if wrong.any():
        row, column = (int(where[0]) for where in np.nonzero(wrong))
        raise BadFrame(f"{what}: {int(wrong.sum())} pixels are NaN or without variance, the first at {row}, {column}")
    lit = usable if setup.slit is None else usable[:, setup.slit[0] : setup.slit[1]]
    if lit.mean() < 0.1 or min(lit.shape) < 16:
        raise BadFrame(f"{what}: only {lit.mean():.0%} of {lit.shape[0]} x {lit.shape[1]} pixels are good")
    saturated = ((mask & np.uint16(Mask.SATURATED)) != 0) & np.isfinite(sci) & np.isfinite(var)
    shown = usable | saturated
    return SlitImage(
        np.where(shown, sci, 0).astype(np.float64), np.where(shown, var, 1).astype(np.float64), usable, saturated
    )
