"""Reduced DECam-like detectors struck by cosmic rays, with the truth, and how well a mask does on one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.planes import Mask
from processors.simulator.cosmics import Tracks, track_image

READ_NOISE, SATURATION, FWHM = 7.0, 240_000.0, 3.8  # e-, e-, pixels
STARS, TRACKS, COLUMNS, ROWS = 1500, 300, 2048, 4096  # of one detector
_REACH = 24  # pixels to which a star is drawn
_SURE = 5.0  # σ of the sky by which a struck pixel must stand out to be asked for


@dataclass(frozen=True, slots=True)
class Struck:
    """`sci` (rows, columns) float32, e-, with its sky; `mask` uint16; `rays`: e- left by cosmic rays; `sky` e-."""

    sci: Any
    mask: Any
    rays: Any
    sky: float


def detector(seed: int, sky: float, rows: int = ROWS) -> Struck:
    """Stars of a power law in flux on a sky (e-), a flat's pixel noise, bad columns, straight tracks."""
    rng = np.random.default_rng(seed)
    shape = (rows, COLUMNS)
    share = rows / ROWS
    light = np.full(shape, sky, np.float32)
    _draw_stars(rng, light, round(STARS * share))
    image = rng.poisson(light).astype(np.float32)
    count = round(TRACKS * share)
    length = rng.exponential(9.0, count) + 1
    tracks = Tracks(
        x=rng.uniform(5, COLUMNS - 6, count),
        y=rng.uniform(5, rows - 6, count),
        length=length,
        angle=rng.uniform(0, np.pi, count),
        electrons=rng.lognormal(np.log(1200), 0.6, count) * length,
    )
    rays = track_image(tracks, shape)
    image += rays + rng.normal(0, READ_NOISE, shape).astype(np.float32)
    image /= 1 + rng.normal(0, 0.0005, shape).astype(np.float32)  # what an imperfect flat leaves
    mask = np.where(image >= SATURATION, np.uint16(Mask.SATURATED), np.uint16(0))
    for column in rng.integers(0, COLUMNS, 4):
        begin = rng.integers(0, rows * 3 // 4)
        image[begin:, column] *= 3
        mask[begin:, column] |= np.uint16(Mask.BAD)
    return Struck(np.minimum(image, np.float32(SATURATION)), mask, rays, sky)


def _draw_stars(rng: np.random.Generator, light: Any, count: int) -> None:
    """Add Moffat stars (β = 3) to the light."""
    alpha2 = FWHM**2 / (4 * (2 ** (1 / 3) - 1))
    y, x = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    for flux, at_x, at_y in zip(
        np.clip(2000 * (rng.pareto(0.8, count) + 1), 0, 3e6),
        rng.uniform(_REACH + 1, light.shape[1] - _REACH - 2, count),
        rng.uniform(_REACH + 1, light.shape[0] - _REACH - 2, count),
        strict=True,
    ):
        column, row = int(at_x), int(at_y)
        profile = (1 + ((x - at_x + column) ** 2 + (y - at_y + row) ** 2) / alpha2) ** -3.0
        window = np.s_[row - _REACH : row + _REACH + 1, column - _REACH : column + _REACH + 1]
        light[window] += flux * 2 / (np.pi * alpha2) * profile


def scores(frames: list[Struck], masks: list[Any]) -> dict[str, float]:
    """Completeness by object and by pixel, and purity by object, over all frames; masked pixels do not count.

    Asked for are the pixels that a cosmic ray lifts, and that stand, 5 σ above the sky, and the objects with such a
    pixel. An object in a mask is right when it touches a track.
    """
    from scipy.ndimage import binary_dilation, label

    touching = np.ones((3, 3))
    hit = objects = pixels = struck = right = named = 0
    for frame, mask in zip(frames, masks, strict=True):
        usable = ~binary_dilation(frame.mask != 0, touching)
        least = _SURE * np.hypot(np.sqrt(frame.sky), READ_NOISE)
        tracks, _ = label(frame.rays > 0, touching)
        asked = (frame.rays > least) & (frame.sci > frame.sky + least) & usable
        found = mask & usable
        components, count = label(found, touching)
        near = binary_dilation(frame.rays > 0, touching) & found
        hit += len(np.unique(tracks[asked & found]))
        objects += len(np.unique(tracks[asked]))
        pixels += int((asked & found).sum())
        struck += int(asked.sum())
        right += len(np.unique(components[near]))
        named += count
    return {
        "objects": round(hit / objects, 3),
        "pixels": round(pixels / struck, 3),
        "purity": round(right / named, 3),
    }
