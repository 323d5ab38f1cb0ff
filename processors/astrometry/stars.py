"""Stars of an image as astrometry needs them: where they are, brightest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.photometry.flags import SourceFlag
from processors.photometry.sources import Sources, find_sources

Array = NDArray[np.float64]
_MOST: Final = 5000
_SIGMA: Final = 3.0  # of five connected pixels: hot pixels have fewer
_SMALLEST: Final = 16  # pixels on a side
_UNUSABLE: Final = SourceFlag.EDGE | SourceFlag.OVERFLOW | SourceFlag.SINGULAR | SourceFlag.ALL_MASKED


@dataclass(frozen=True, slots=True)
class Stars:
    """Pixels (from 0) and fluxes of stars, float64, brightest first."""

    x: Array
    y: Array
    flux: Array

    def __len__(self) -> int:
        return len(self.x)

    @property
    def points(self) -> Array:
        """(stars, 2): x, y."""
        return np.stack([self.x, self.y], axis=1)


def sort_stars(x: Array, y: Array, flux: Array) -> Stars:
    """Stars of measured places and fluxes, brightest first, at most 5000, those without a number left out."""
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    order = np.flatnonzero(good)[np.argsort(-flux[good], kind="stable")][:_MOST]
    return Stars(*(np.asarray(values, dtype=np.float64)[order] for values in (x, y, flux)))


def stars_of(sources: Sources) -> Stars:
    """Those of an image's sources whose place can be trusted."""
    whole = (sources.flags & np.uint16(_UNUSABLE)) == 0
    return sort_stars(sources.x[whole], sources.y[whole], sources.flux_e[whole])


def find_stars(image: NDArray[Any], mask: NDArray[np.uint16] | None = None) -> Stars:
    """The stars of an image, raw or reduced; at most 5000.

    Parameters
    ----------
    image : (rows, columns), any real type
        Counts or electrons; NaN is not used. The four levels of a colour camera's raw pixels (Bayer) are made one.
    mask : (rows, columns) uint16, optional
        Bits of `planes.Mask`.

    Raises
    ------
    BadFrame
        Too few good pixels, or more sources than any sky has (a frame that was not cleaned).
    """
    counts = np.array(image, dtype=np.float32, order="C")
    bad = ~np.isfinite(counts)
    if min(counts.shape) < _SMALLEST or bad.mean() > 0.9:
        raise BadFrame(f"no stars can be found: {int((~bad).sum())} good pixels of {counts.size}")
    counts[bad] = np.nan
    for row in (0, 1):
        for column in (0, 1):
            phase, use = counts[row::2, column::2], ~bad[row::2, column::2]
            if use.any():
                phase -= np.median(phase[use])
    # the variance only weighs fluxes here, and those only sort
    sources = find_sources(counts, np.ones_like(counts), mask, threshold=_SIGMA)
    if len(sources) == 0:
        raise BadFrame(f"no stars can be found: {sources.reason}")
    return stars_of(sources)
