"""Steeper than a star? The test that tells a cosmic ray from a noise peak or the core of a star."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from processors.kernels import kernel

_CAUTION: Final = 1.0  # σ by which a pixel is taken lower, and its neighbours higher, than they are
_SHARPNESS: Final = 0.8  # of the star's own fall: pixels are not points and seeing is not one number


def steepest_fall(fwhm_px: float) -> tuple[float, float]:
    """Height of a Gaussian star 1 and √2 pixels from its peak, of the peak, times a margin."""
    side = math.exp(-4 * math.log(2) / fwhm_px**2)
    return _SHARPNESS * side, _SHARPNESS * side * side


@kernel
def steep_objects(image: Any, background: Any, noise2: Any, order: Any, starts: Any, side: Any, corner: Any) -> Any:
    """Which objects hold a pixel that no star could make: (objects,) of bool.

    A pixel p with background b is too steep when, for one of the four pairs of opposite neighbours with mean m,

        fall · (p − b − c σ(p)) > m − b + c σ(m)

    where `fall` is that of the sharpest star at 1 pixel (`side`) or √2 pixels (`corner`): condition 3 of SDSS's
    photometric pipeline (Lupton et al. 2001, ASP Conf. 238, 269). Only pixels at least half as high as the object's
    highest are asked: on the foot of a star the noise decides. `background` (e-) and `noise2` (e-², of the background
    with the read noise) go with `order`, the places by object; `image` still has its cosmic rays.
    """
    width = image.shape[1]
    steep = np.zeros(starts.size - 1, np.bool_)
    caution, half = np.float32(_CAUTION), np.float32(0.5)
    for i in range(steep.size):
        highest = np.float32(0)
        for k in range(starts[i], starts[i + 1]):
            highest = max(highest, image[order[k] // width, order[k] % width] - background[k])
        for k in range(starts[i], starts[i + 1]):
            y, x, b = order[k] // width, order[k] % width, background[k]
            p = image[y, x] - b
            if p < half * highest:
                continue
            p -= caution * np.sqrt(noise2[k] + max(p, np.float32(0)))
            for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                m = half * (image[y + dy, x + dx] + image[y - dy, x - dx]) - b
                m += caution * np.sqrt(half * (noise2[k] + max(m, np.float32(0))))
                if (corner if dy * dx != 0 else side) * p > m:
                    steep[i] = True
    return steep
