"""Cosmic rays in one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.cosmics.conditions import significant
from processors.cosmics.floors import BLOCK, laplacian_floors
from processors.cosmics.frame import (
    BAND,
    COLUMNS,
    COSMIC,
    LEAST_LEVEL,
    LOWEST_SIDE,
    ROWS,
    Working,
    reflect,
    working_copy,
)
from processors.cosmics.gradient import steep_objects, steepest_fall
from processors.cosmics.halo import avoid_halos
from processors.cosmics.laplacian import stand_out, still_stand_out
from processors.cosmics.neighbours import neighbours
from processors.cosmics.objects import objects
from processors.cosmics.options import CosmicOptions
from processors.cosmics.replace import medians_at
from processors.cosmics.significance import significances
from processors.errors import BadFrame

Image = NDArray[np.float32]
Places = NDArray[np.int64]
Each = Callable[[Callable[..., Any], list[Any]], list[Any]]

_LARGEST_NOISE = 1e15  # e-; float32 holds its square
_REACH = 6  # pixels from which the two conditions look at a pixel


@dataclass(frozen=True, slots=True)
class Cosmics:
    """What was found: `mask` (rows, columns) bool, and the number of objects (pixels that touch) in it."""

    mask: NDArray[np.bool_]
    count: int


def find_cosmics(
    sci: Image,
    noise: float | Image,
    mask: NDArray[np.uint16] | None = None,
    options: CosmicOptions | None = None,
) -> Cosmics:
    """Pixels struck by cosmic rays: L.A.Cosmic (van Dokkum 2001, PASP 113, 1420), and a gradient test if wished.

    Only pixels above a lower bound of the noise are looked at closely, and after the first of the iterations only the
    neighbourhood of what was found: the outcome is that of the full computation. It is the same for any number of
    threads. The frame continues beyond its edges by reflection; every pixel is judged. Nothing given is changed.

    Parameters
    ----------
    sci
        (rows, columns) float32, e-. With a read noise the sky must be in it, as the photon noise is taken from it;
        with a variance it may have been subtracted, as may be a model of a spectrum's sky lines and continuum.
    noise
        Read noise, e-; or the variance of each pixel, (rows, columns) float32, e-².
    mask
        (rows, columns) uint16, bits of `processors.planes.Mask`; pixels with a bit of `options.avoid` are not called
        cosmic rays. Those may hold anything, NaN included; a value lower than its surroundings is not looked at.

    Raises
    ------
    BadFrame
        Fewer than 9 pixels a side, planes of unequal shapes, an impossible read noise, or NaN, infinity or a variance
        that is not positive outside the mask.
    """
    options = options or CosmicOptions()
    sci, noise, mask = _checked(sci, noise, mask)
    with _workers(options.threads) as each:
        bands = _bands(sci.shape[0], options.threads)
        frame = working_copy(sci, noise, mask, options.avoid, lambda work: each(lambda band: work(*band), bands))
        if mask is not None:
            avoided = np.uint16(options.avoid)
            each(lambda band: avoid_halos(frame.image, mask, avoided, frame.state, *band), bands)
        places, originals = _search(frame, options, bands, each)
    order, starts = _certain(frame, places, originals, options)
    found = np.zeros(sci.shape, np.bool_)
    found[order // frame.image.shape[1] - ROWS, order % frame.image.shape[1] - COLUMNS] = True
    return Cosmics(found, starts.size - 1)


def _checked(
    sci: Image, noise: float | Image, mask: NDArray[np.uint16] | None
) -> tuple[Image, float | Image, NDArray[np.uint16] | None]:
    """The planes as the kernels want them."""
    for name, shape in (("variance", np.shape(noise)), ("mask", None if mask is None else mask.shape)):
        if shape and shape != sci.shape:
            raise BadFrame(f"the {name} is {shape}, the image {sci.shape}")
    if sci.ndim != 2 or min(sci.shape) < LOWEST_SIDE:
        raise BadFrame(f"{sci.shape} pixels: {LOWEST_SIDE} a side are needed to look for cosmic rays")
    if mask is not None:
        if not np.can_cast(mask.dtype, np.uint16):  # a wider number would lose its high bits
            raise BadFrame(f"the mask is {mask.dtype}, not uint16")
        mask = np.ascontiguousarray(mask, np.uint16)
    if np.ndim(noise):
        return np.ascontiguousarray(sci, np.float32), np.ascontiguousarray(noise, np.float32), mask
    noise = float(noise)
    if not 0 <= noise < _LARGEST_NOISE:
        raise BadFrame(f"a read noise of {noise} e- is impossible")
    return np.ascontiguousarray(sci, np.float32), noise, mask


def _search(
    frame: Working, options: CosmicOptions, bands: list[tuple[int, int]], each: Each
) -> tuple[Places, NDArray[np.float32]]:
    """All cosmic pixels and the values they had; in `frame` they are replaced by what is around them."""
    rows, columns = frame.shape
    image, level, state, noise2 = frame.image, frame.level, frame.state, np.float32(frame.noise2)
    threshold, object_limit = np.float32(options.sigma_clip), np.float32(options.object_limit)
    floors = np.empty(((rows - 1) // BLOCK + 1, (columns - 1) // BLOCK + 1), np.float32)
    no_limit = np.float32(0)

    def first(band: tuple[int, int]) -> Places:
        laplacian_floors(level, noise2, threshold, rows, columns, floors, *band)
        out: Places = significant(
            image, level, noise2, stand_out(image, state, floors, columns, *band), threshold, object_limit
        )
        return out

    def judged(candidates: Places, least: np.float32, limit: np.float32) -> Places:
        parts = np.array_split(candidates, len(bands))
        return np.concatenate(each(lambda part: significant(image, level, noise2, part, least, limit), parts))

    everything, originals = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    core = np.concatenate(each(first, bands))
    for iteration in range(options.iterations):
        if iteration:
            core = judged(
                still_stand_out(image, floors, neighbours(state, everything[-1], _REACH)), threshold, object_limit
            )
        if core.size == 0:
            break
        new = core
        state.reshape(-1)[core] |= COSMIC
        for least in (threshold, threshold * np.float32(options.sigma_fraction)):
            grown = judged(neighbours(state, new, 1), least, no_limit)
            state.reshape(-1)[grown] |= COSMIC
            new = np.concatenate((new, grown))
        everything.append(new)
        originals.append(image.reshape(-1)[new])
        _replace(frame, new)
    return np.concatenate(everything), np.concatenate(originals)


def _replace(frame: Working, places: Places) -> None:
    """Put the median of good pixels at the places, in the image and in what the noise is taken from."""
    for plane in (frame.image,) if frame.level is frame.image else (frame.image, frame.level):
        values = medians_at(plane, frame.state, places)
        known = np.isfinite(values)
        plane.reshape(-1)[places[known]] = values[known]
        reflect(plane)


def _certain(
    frame: Working, places: Places, originals: NDArray[np.float32], options: CosmicOptions
) -> tuple[Places, Places]:
    """The objects that pass the tests of objects, as `objects` gives them."""
    order, starts = objects(frame.state, places)
    background = frame.image.reshape(-1)[order]
    noise2 = np.maximum(frame.level.reshape(-1)[order], LEAST_LEVEL) + np.float32(frame.noise2)
    frame.image.reshape(-1)[places] = originals
    reflect(frame.image)
    keep = significances(frame.image, background, noise2, order, starts) >= options.least_significance
    if options.psf_fwhm_px is not None:
        side, corner = (np.float32(fall) for fall in steepest_fall(options.psf_fwhm_px))
        keep &= steep_objects(frame.image, background, noise2, order, starts, side, corner)
    sizes = np.diff(starts)
    return order[np.repeat(keep, sizes)], np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes[keep])))


def _bands(rows: int, threads: int) -> list[tuple[int, int]]:
    """Rows shared among threads, in whole bands."""
    step = -(-rows // (BAND * threads)) * BAND
    return [(y0, min(y0 + step, rows)) for y0 in range(0, rows, step)]


@contextmanager
def _workers(threads: int) -> Iterator[Each]:
    """A way to call a function for each of some things, in this thread or in several; kernels run without the GIL."""
    if threads == 1:
        yield lambda function, things: [function(thing) for thing in things]
        return
    with ThreadPoolExecutor(threads, "cosmics") as pool:
        yield lambda function, things: list(pool.map(function, things))
