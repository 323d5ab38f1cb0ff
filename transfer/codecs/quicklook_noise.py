"""How much a lossy codec added: the noise of the difference against the noise of the sky, measured on the frame."""

from __future__ import annotations

from typing import Final

import numpy as np

SAMPLE: Final = 1 << 20  # pixels looked at per detector: the noise comes out to a few parts in a thousand
_TO_SIGMA: Final = 1.482602 / 6**0.5
_ROUNDING: Final = 12**-0.5  # sigma of rounding to integers: no digitised sky is quieter


def sky_sigma(pixels: np.ndarray) -> float:
    """Noise of the sky of a detector, in the pixels' units.

    sigma = 1.482602 / sqrt(6) * median |2 x(i) - x(i-2) - x(i+2)| along the rows: neighbours but one, so that slopes,
    levels of amplifiers and slow patterns drop out and few pixels of stars matter (Stoehr et al. 2008, ADASS XVII, 505;
    used for the noise of compression by Pence, White & Seaman 2010, PASP 122, 1065).

    Parameters
    ----------
    pixels
        Integers, shape (..., width) with width >= 5.
    """
    bends = np.abs(_bends(_sample(pixels)))
    return float(max(_TO_SIGMA * _median_of_integers(bends), _ROUNDING))


def noise_added(original: np.ndarray, restored: np.ndarray) -> float:
    """Rms of restored - original over the sky pixels, as a fraction of `sky_sigma(original)`.

    Sky pixels are those whose |2 x(i) - x(i-2) - x(i+2)| is at most 3 sqrt(6) sigma: no edges, stars or cosmic rays.
    """
    sigma = sky_sigma(original)
    before, after = _sample(original), _sample(restored)
    sky = np.abs(_bends(before)) <= 3 * 6**0.5 * sigma
    change = (after - before)[:, 2:-2][sky]
    return float(np.sqrt(np.mean(np.square(change, dtype=np.float64)))) / sigma if change.size else 0.0


def largest_change(original: np.ndarray, restored: np.ndarray) -> int:
    """Largest |restored - original| of all pixels."""
    flat = zip(_rows(original), _rows(restored), strict=True)
    return max(int(np.abs(after.astype(np.int64) - before).max()) for before, after in flat)


def _rows(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, pixels.shape[-1])


def _sample(pixels: np.ndarray) -> np.ndarray:
    """Evenly spaced rows of at most about `SAMPLE` pixels, as 64-bit integers: shape (rows, width)."""
    return _rows(pixels)[:: max(1, pixels.size // SAMPLE)].astype(np.int64)


def _bends(rows: np.ndarray) -> np.ndarray:
    bends: np.ndarray = 2 * rows[:, 2:-2] - rows[:, :-4] - rows[:, 4:]
    return bends


def _median_of_integers(values: np.ndarray) -> float:
    """Median of absolute integers as if each were spread over its bin: quiet detectors span only a few integers."""
    middle = int(np.partition(values, values.size // 2, axis=None)[values.size // 2])
    share = (values.size / 2 - np.count_nonzero(values < middle)) / np.count_nonzero(values == middle)
    return middle - 0.5 + share if middle else share / 2
