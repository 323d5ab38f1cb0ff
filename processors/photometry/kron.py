"""The light of sources in ellipses that grow with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
_WITHIN: Final = 6.0  # the Kron radius is that of the light within six times the outline's rms
_FACTOR: Final = 2.5
_SMALLEST: Final = 3.5  # of the rms, where little light is there to tell the radius
_SUBPIXELS: Final = 5


@dataclass(frozen=True, slots=True)
class Fluxes:
    """Flux and error in e- of apertures, and sep's flags for them (uint16)."""

    flux_e: F8
    error_e: F8
    flags: NDArray[np.uint16]


def kron_fluxes(image: F4, var: F4, hidden: NDArray[np.bool_] | None, objects: Any) -> Fluxes:
    """Light in ellipses of max(2.5 r_K, 3.5) times the outline's rms, r_K the first moment of the light in 6 rms.

    As SExtractor's FLUX_AUTO (Kron 1980, ApJS 43, 305; Bertin & Arnouts 1996, A&AS 117, 393, section 7.4): 94 % and
    more of the light of a star. The error is the root of the summed variance, which holds the photons of the source.

    Parameters
    ----------
    image : (rows, columns) float32, e- above the sky
    var : e-²
    objects : what sep.extract returns
    """
    import sep

    x, y, a, b, theta = (objects[name].astype(np.float64) for name in ("x", "y", "a", "b", "theta"))
    a, b = np.maximum(np.nan_to_num(a, nan=1.0), 0.3), np.maximum(np.nan_to_num(b, nan=1.0), 0.3)
    # within float32 of a right angle, which sep refuses beyond it
    theta = np.clip(np.nan_to_num(theta), -np.pi / 2, np.pi / 2)
    radius, _ = sep.kron_radius(image, x, y, a, b, theta, _WITHIN, mask=hidden)
    scale = np.maximum(_FACTOR * np.nan_to_num(radius), _SMALLEST)
    flux, error, flags = sep.sum_ellipse(image, x, y, a, b, theta, scale, var=var, mask=hidden, subpix=_SUBPIXELS)
    return Fluxes(flux, error, flags.astype(np.uint16))


def circle_fluxes(image: F4, var: F4, hidden: NDArray[np.bool_] | None, x: F8, y: F8, radius_px: float) -> Fluxes:
    """Light in circles of a radius, and its error from the variance."""
    import sep

    flux, error, flags = sep.sum_circle(image, x, y, radius_px, var=var, mask=hidden, subpix=_SUBPIXELS)
    return Fluxes(flux, error, flags.astype(np.uint16))
