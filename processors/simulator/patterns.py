"""What never changes on a detector: bias structure, response, hot pixels, bad columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.simulator.camera import Camera, DetectorTruth, Geometry
from processors.simulator.seeds import Stream, generator
from processors.simulator.sky import BANDS

Image = npt.NDArray[np.float32]

PRNU_RMS: Final = 0.004
RING_AMPLITUDE: Final = 0.003
VIGNETTING: Final = (0.06, 0.03)  # times r^2 and r^4, r = 1 at the farthest corner
DOME_GRADIENT: Final = 0.004  # of the dome screen's light, from one edge of the focal plane to the other
HOT_FRACTION: Final = 2e-4


@dataclass(frozen=True, slots=True)
class BadColumn:
    """A bad stretch of a column, trimmed pixels from 1: `dead` (response 0.15) or `hot` (leaks), up to the last row."""

    column: int
    first_row: int
    kind: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Fixed maps of a detector, all (height, width) float32 of trimmed pixels.

    Attributes
    ----------
    bias : array
        Structure on top of the overscan level, ADU.
    dark : array
        Dark current, e-/s, hot pixels and hot columns included.
    prnu : array
        Pixel response less one, in the g band.
    shape : array
        Smooth response: vignetting, rings, dust, dead columns.
    bad_columns : tuple of BadColumn
    hot : array of bool
        Hot pixels (more than ten times the usual dark current).
    """

    bias: Image
    dark: Image
    prnu: Image
    shape: Image
    bad_columns: tuple[BadColumn, ...]
    hot: npt.NDArray[np.bool_]


def pattern(camera: Camera, detector: DetectorTruth) -> Pattern:
    """The fixed maps of a detector, made from the seed; the last few are kept (four of 0.1 GB each at full scale)."""
    small = camera.geometry.width * camera.geometry.height <= 1 << 20
    return _kept_small(camera, detector) if small else _kept_large(camera, detector)


def _make(camera: Camera, detector: DetectorTruth) -> Pattern:
    rng = generator(Stream.PATTERN, camera.seed, detector.number)
    geometry = camera.geometry
    size = (geometry.height, geometry.width)
    columns = _bad_columns(rng, geometry)
    hot = rng.random(size, dtype=np.float32) < HOT_FRACTION
    dark = np.full(size, detector.dark_e_s, np.float32)
    dark[hot] = detector.dark_e_s * 10 + rng.lognormal(np.log(2.0), 1.2, int(hot.sum())).astype(np.float32)
    bias = _bias_structure(rng, size)
    prnu = rng.standard_normal(size, dtype=np.float32) * np.float32(PRNU_RMS)
    shape = _smooth_response(rng, camera, detector)
    for bad in columns:
        stretch = (slice(bad.first_row - 1, None), bad.column - 1)
        if bad.kind == "dead":
            shape[stretch] *= 0.15
        else:
            dark[stretch] += 25.0
            bias[stretch] += 60.0
    maps = Pattern(bias, dark, prnu, shape, columns, hot)
    for image in (bias, dark, prnu, shape, hot):
        image.setflags(write=False)
    return maps


_kept_small = lru_cache(maxsize=32)(_make)
_kept_large = lru_cache(maxsize=4)(_make)


def response(camera: Camera, detector: DetectorTruth, band: str) -> Image:
    """Relative response of every trimmed pixel in a band, 1 on the optical axis: what a perfect flat field would show.

    (height, width) float32. Divide by its mean over the detector to compare with a normalised flat.
    """
    maps = pattern(camera, detector)
    return maps.shape * (1 + np.float32(BANDS[band].prnu) * maps.prnu)


def dome_light(camera: Camera, detector: DetectorTruth) -> Image:
    """Illumination of the focal plane by the dome screen, 1 on average: (height, 1) float32, a gentle slope along y."""
    rows = np.arange(camera.geometry.height, dtype=np.float32) - camera.geometry.height / 2 + detector.centre_y
    return (1 + np.float32(DOME_GRADIENT / 2 / camera.radius) * rows[:, None]).astype(np.float32)


def bad_pixels(camera: Camera, detector: DetectorTruth) -> npt.NDArray[np.bool_]:
    """Truth of the bad-pixel mask, (height, width): hot pixels and bad columns."""
    maps = pattern(camera, detector)
    bad = maps.hot.copy()
    for column in maps.bad_columns:
        bad[column.first_row - 1 :, column.column - 1] = True
    return bad


def _bad_columns(rng: np.random.Generator, geometry: Geometry) -> tuple[BadColumn, ...]:
    picked = rng.choice(geometry.width, 3, replace=False)
    rows = rng.integers(1, max(2, int(0.8 * geometry.height)), 3)
    kinds = ("dead", "hot", "dead")
    return tuple(
        BadColumn(int(column) + 1, int(row), kind) for column, row, kind in zip(picked, rows, kinds, strict=True)
    )


def _bias_structure(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Column pattern, a smooth wave, and fixed noise of every pixel: zero mean, about 0.8 ADU rms."""
    height, width = size
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    phase = rng.uniform(0, 2 * np.pi, 3)
    columns = rng.normal(0, 0.35, (1, width)).astype(np.float32)
    wave = 0.6 * np.sin(2 * np.pi * 4 * x + phase[0]) + 0.5 * np.cos(2 * np.pi * (y + 0.5 * x) + phase[1])
    structure = rng.standard_normal(size, dtype=np.float32) * np.float32(0.4) + columns + wave.astype(np.float32)
    return np.asarray(structure - structure.mean(), dtype=np.float32)


def _smooth_response(rng: np.random.Generator, camera: Camera, detector: DetectorTruth) -> Image:
    """Vignetting about the optical axis, tree rings about a point off the detector, and three out-of-focus dust grains.

    Rings as in thick CCDs: Plazas, Bernstein & Sheldon 2014, PASP 126, 750.
    """
    height, width = camera.geometry.height, camera.geometry.width
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None, :]
    dx, dy = x - width / 2 + detector.centre_x, y - height / 2 + detector.centre_y
    r2 = (dx * dx + dy * dy) / np.float32(camera.radius**2)
    shape = 1 - VIGNETTING[0] * r2 - VIGNETTING[1] * r2 * r2
    distance = np.hypot(x - np.float32(rng.uniform(-0.3, 0) * width), y - np.float32(rng.uniform(1, 1.3) * height))
    shape *= 1 + RING_AMPLITUDE * np.sin(distance * (0.12 + 4e-5 * distance))
    for _ in range(3):
        at = np.hypot(x - rng.uniform(0, width), y - rng.uniform(0, height))
        shape *= 1 - 0.015 * np.exp(-(((at - 22) / 6) ** 2))
    return np.asarray(shape, dtype=np.float32)
