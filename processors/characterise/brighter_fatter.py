"""The brighter-fatter kernel, and how it moves charge back to the pixels where it belongs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.covariance_model import even
from processors.characterise.signal import F4, F8

_PADDING: Final = 8  # pixels from the last coefficient to where the kernel is taken to vanish


def brighter_fatter_kernel(a: F8) -> F8:
    """Kernel K with ∇²K = -a, which is 0 eight pixels beyond the coefficients: (2 n + 1, 2 n + 1), 1/e-.

    `a` (lags, lags), [rows apart, columns apart], is that of Astier et al. 2019. Coulton et al. 2018, AJ 155, 258,
    section 3, take the field that displaces charge as the gradient of K ⊗ image; a flat that is corrected for it has
    lost covariances of μ² ∇²K, to first order. The discrete Laplacian of five points is solved by sine transforms.
    """
    from scipy.fft import dstn, idstn

    lags = a.shape[0]
    half = lags - 1 + _PADDING
    source = np.zeros((2 * half + 1, 2 * half + 1))
    inside = slice(half - lags + 1, half + lags)
    source[inside, inside] = even(a)
    wave = 2 * np.cos(np.pi * np.arange(1, 2 * half + 2) / (2 * half + 2)) - 2
    return np.asarray(idstn(dstn(-source, type=1) / (wave[:, None] + wave), type=1))


def without_brighter_fatter(image_e: F4, kernel: F8) -> F4:
    """Charge moved back, e-: image + ½ ∇·(image ∇(K ⊗ image)), Coulton et al. 2018, equation 22; in one step.

    It is written as what crosses the borders of pixels, so that no charge is lost; none crosses the image's edges.
    """
    from scipy.signal import fftconvolve

    image: NDArray[Any] = np.asarray(image_e, np.float64)
    # the mean does not move charge, but would at the edges, beyond which the convolution sees nothing
    field = fftconvolve(image - image.mean(), kernel, mode="same")
    moved = image.copy()
    for axis in (0, 1):
        high = np.moveaxis(image, axis, 0)
        crossing = 0.25 * (high[1:] + high[:-1]) * np.diff(np.moveaxis(field, axis, 0), axis=0)
        target = np.moveaxis(moved, axis, 0)
        target[:-1] += crossing
        target[1:] -= crossing
    return moved.astype(np.float32)
