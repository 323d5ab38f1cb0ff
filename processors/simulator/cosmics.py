"""Cosmic rays: straight tracks of muons and short worms of electrons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

PER_CM2_MINUTE: Final = 8.0  # thick CCDs at 2200 m
PIXEL_CM: Final = 15e-4
_STEP: Final = 0.25
_DIFFUSION: Final = 0.06  # of the charge goes to each of the four neighbours


@dataclass(frozen=True, slots=True)
class Tracks:
    """Cosmic rays of one detector: start (x, y) in trimmed pixels from 0, length in pixels, angle, electrons in all."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]
    angle: npt.NDArray[np.float64]
    electrons: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)


def draw_tracks(rng: np.random.Generator, shape: tuple[int, int], seconds: float) -> Tracks:
    """Cosmic rays that cross a detector of `shape` (rows, columns) in so many seconds."""
    rows, columns = shape
    count = int(rng.poisson(PER_CM2_MINUTE * rows * columns * PIXEL_CM**2 * seconds / 60))
    length = rng.exponential(9.0, count) + 1.0
    per_pixel = rng.lognormal(np.log(1200.0), 0.6, count)
    return Tracks(
        x=rng.uniform(0, columns - 1, count),
        y=rng.uniform(0, rows - 1, count),
        length=length,
        angle=rng.uniform(0, 2 * np.pi, count),
        electrons=per_pixel * length,
    )


def track_image(tracks: Tracks, shape: tuple[int, int]) -> Image:
    """Electrons that the tracks leave in a detector: (rows, columns) float32, zero elsewhere."""
    image = np.zeros(shape, np.float32)
    if not len(tracks):
        return image
    steps = np.ceil(tracks.length / _STEP).astype(np.int64)
    which = np.repeat(np.arange(len(tracks)), steps)
    along = (np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps)) * _STEP
    x = np.rint(tracks.x[which] + along * np.cos(tracks.angle[which])).astype(np.int64)
    y = np.rint(tracks.y[which] + along * np.sin(tracks.angle[which])).astype(np.int64)
    share = (tracks.electrons / steps)[which]
    for dx, dy, part in ((0, 0, 1 - 4 * _DIFFUSION), *((i, j, _DIFFUSION) for i, j in _NEIGHBOURS)):
        column, row = x + dx, y + dy
        inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
        np.add.at(image, (row[inside], column[inside]), (share[inside] * part).astype(np.float32))
    return image


_NEIGHBOURS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))
