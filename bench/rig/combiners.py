"""One way of combining a stack of images, as a process of its own: `combiners.py WAY STACK.npy`.

Prints one JSON object: `seconds` of the combination, `extra_mb` of memory that it needed besides the images, and `rms`
of the combined image about the value that was put in. `combiners.py make STACK.npy IMAGES ROWS COLUMNS` makes a stack.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

F4 = NDArray[np.float32]
Way = Callable[[F4], NDArray[Any]]
LEVEL = 1000.0


def ours(stack: F4) -> NDArray[Any]:
    """`processors.masters.combine`, mean, variance and count."""
    from processors.masters.combine import combine

    return combine(list(stack)).value


def ours_median(stack: F4) -> NDArray[Any]:
    """The same with the median of what was kept."""
    from processors.masters.combine import combine

    return combine(list(stack), "median").value


def numpy(stack: F4) -> NDArray[Any]:
    """The same statistic with numpy's functions: median, middle half, mean and variance of what is inside."""
    from processors.masters.combine import _width_factors

    images = stack.shape[0]
    ordered = np.sort(stack, axis=0)
    middle = (ordered[(images - 1) // 2] + ordered[images // 2]) / 2
    sigma = (ordered[images - 1 - images // 4] - ordered[images // 4]) * _width_factors(images)[images]
    kept = np.abs(ordered - middle) <= 3 * sigma
    count = kept.sum(axis=0)
    mean = np.sum(ordered, axis=0, where=kept) / count
    np.sum((ordered - mean) ** 2, axis=0, where=kept) / (count - 1) / count
    return np.asarray(mean)


def astropy(stack: F4) -> NDArray[Any]:
    """`astropy.stats.sigma_clip` as it comes (median, standard deviation, until nothing changes), and the mean."""
    from astropy.stats import sigma_clip

    return np.asarray(sigma_clip(stack, sigma=3, axis=0).mean(axis=0))


def ccdproc(stack: F4) -> NDArray[Any]:
    """`ccdproc.combine` as its guide says for calibration frames: average, clipped about the median."""
    import ccdproc as peer
    from astropy.nddata import CCDData

    images = [CCDData(image, unit="adu") for image in stack]
    limits = {"sigma_clip_low_thresh": 3, "sigma_clip_high_thresh": 3}
    functions = {"sigma_clip_func": np.ma.median, "sigma_clip_dev_func": np.ma.std}
    return np.asarray(peer.combine(images, method="average", sigma_clip=True, mem_limit=2e9, **limits, **functions))


def ccdproc_median(stack: F4) -> NDArray[Any]:
    """`ccdproc.combine`, median without clipping."""
    import ccdproc as peer
    from astropy.nddata import CCDData

    return np.asarray(peer.combine([CCDData(image, unit="adu") for image in stack], method="median", mem_limit=2e9))


WAYS: dict[str, Way] = {way.__name__: way for way in (ours, ours_median, numpy, astropy, ccdproc, ccdproc_median)}


def write_stack(path: Path, images: int, rows: int, columns: int) -> None:
    """Images of a level with Gaussian noise; one value in 500 was hit by something."""
    rng = np.random.default_rng(1)
    stack = np.lib.format.open_memmap(path, "w+", np.float32, (images, rows, columns))
    for image in stack:
        image[:] = LEVEL + 10 * rng.standard_normal(image.shape, np.float32)
        hits = rng.integers(0, image.size, image.size // 500)
        image.ravel()[hits] += 5000
    stack.flush()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Make a stack, or run one way once warm."""
    warnings.simplefilter("ignore")
    if sys.argv[1] == "make":
        images, rows, columns = map(int, sys.argv[3:])
        write_stack(Path(sys.argv[2]), images, rows, columns)
        print("{}")
        return
    way, stack = WAYS[sys.argv[1]], np.load(sys.argv[2])
    way(np.ascontiguousarray(stack[:, :24, :512]))  # imports and compilation
    before = _peak_mb()
    begun = time.perf_counter()
    made = way(stack)
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "extra_mb": _peak_mb() - before, "rms": float((made - LEVEL).std())}))


if __name__ == "__main__":
    main()
