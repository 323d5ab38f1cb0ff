"""Where the sky is not alone: pixels with light of stars and galaxies, for masters that are made of sky frames."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.masters.surface import smooth_surface
from processors.statistics import clipped, sample

F4 = NDArray[np.float32]
_SMOOTHED_PX: Final = 3  # about a seeing disc: faint stars stand out in its mean
_FAINTEST_SIGMA: Final = 2.5
_GROWN_PX: Final = 6  # wings go on below the threshold
_SAMPLE: Final = 500_000


def source_mask(image: F4) -> NDArray[np.bool_]:
    """Pixels whose neighbourhood is brighter than the smooth sky by 2.5 σ, and those within 6 pixels of such.

    σ is the clipped scatter of the image that was averaged over 3 x 3 pixels. NaN is no source, and is not spread.

    Parameters
    ----------
    image : (rows, columns) float32, a frame of the sky, flat to some percent
    """
    from scipy.ndimage import binary_dilation, generate_binary_structure, iterate_structure, uniform_filter

    rest = image - smooth_surface(image)
    rest[~np.isfinite(rest)] = 0
    smoothed = uniform_filter(rest, _SMOOTHED_PX)
    centre, sigma, _ = clipped(sample(smoothed, _SAMPLE), 3.0)
    bright = smoothed > centre + _FAINTEST_SIGMA * sigma
    # alone at 2.5 σ it is noise as often as not: a source has neighbours that are bright, too
    bright &= uniform_filter(bright.astype(np.float32), _SMOOTHED_PX) > 0.5
    disc = iterate_structure(generate_binary_structure(2, 1), _GROWN_PX)
    grown: NDArray[np.bool_] = binary_dilation(bright, disc)
    return grown
