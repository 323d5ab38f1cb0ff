"""Signal-to-noise of whole objects: a faint track of many pixels is certain where one such pixel is a noise peak."""

from __future__ import annotations

from typing import Any

import numpy as np

from processors.kernels import kernel


@kernel
def significances(image: Any, background: Any, noise2: Any, order: Any, starts: Any) -> Any:
    """Signal-to-noise of each object, (objects,) float32: the root of the sum of its pixels' squares above zero.

    This is the signal-to-noise of a fit with the object's own profile. `background` (e-) and `noise2` (e-², what the
    background and the read noise make) go with `order`, the places by object (`processors.cosmics.objects`).
    """
    width = image.shape[1]
    found = np.zeros(starts.size - 1, np.float32)
    for i in range(found.size):
        for k in range(starts[i], starts[i + 1]):
            signal = max(image[order[k] // width, order[k] % width] - background[k], np.float32(0))
            found[i] += signal * signal / noise2[k]
    return np.sqrt(found)
