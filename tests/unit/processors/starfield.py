"""Small fields of stars and cosmic rays with a known truth, and how well a mask of cosmic rays does on one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.planes import Mask
from processors.simulator.cosmics import Tracks, track_image

FULL = 100_000.0  # e-
SAMPLES = 5  # points across a pixel, a side


@dataclass(frozen=True, slots=True)
class Field:
    """`sci` e- with the sky; `mask`: saturated pixels; `rays`: number of the track in each pixel, or 0; stars x, y."""

    sci: Any
    mask: Any
    rays: Any
    x: Any
    y: Any
    sky: float
    noise: float


@dataclass(frozen=True, slots=True)
class Score:
    """Truth: `objects` tracks with a pixel 5 σ above the sky, `struck` such pixels; of them found `hit` and `pixels`.

    Of `named` objects in the mask, `right` touch a track.
    """

    hit: int
    objects: int
    pixels: int
    struck: int
    right: int
    named: int


def stamp(dx: float, dy: float, fwhm: float, half: int) -> Any:
    """A Moffat star (β = 3) of unit flux, averaged over each pixel."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / 3) - 1))
    fine = (np.arange(-half, half + 1)[:, None] + (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5).ravel()
    profile = (1 + ((fine[None] - dx) ** 2 + (fine[:, None] - dy) ** 2) / alpha**2) ** -3.0
    size = 2 * half + 1
    return profile.reshape(size, SAMPLES, size, SAMPLES).mean(axis=(1, 3)) * 2 / (np.pi * alpha**2)


def make(
    seed: int,
    shape: tuple[int, int],
    *,
    stars: int,
    tracks: int,
    sky: float,
    fwhm: float,
    brightest: float = 3e5,
    read_noise: float = 6.0,
    half: int = 14,
) -> Field:
    """A field; the first star has the flux `brightest`, the others less, evenly in magnitude, each out to `half` px."""
    rng = np.random.default_rng(seed)
    light = np.full(shape, sky)
    x, y = rng.uniform(half, shape[1] - half - 1, stars), rng.uniform(half, shape[0] - half - 1, stars)
    for i, flux in enumerate(np.geomspace(brightest, 2000, stars) if stars else ()):
        column, row = round(x[i]), round(y[i])
        window = np.s_[row - half : row + half + 1, column - half : column + half + 1]
        light[window] += flux * stamp(x[i] - column, y[i] - row, fwhm, half)
    image = rng.poisson(light) + rng.normal(0, read_noise, shape)
    rays = np.zeros(shape, np.int64)
    for number in range(1, tracks + 1):
        length = rng.exponential(9, 1) + 1
        one = Tracks(
            x=rng.uniform(0, shape[1] - 1, 1),
            y=rng.uniform(0, shape[0] - 1, 1),
            length=length,
            angle=rng.uniform(0, 2 * np.pi, 1),
            electrons=rng.lognormal(np.log(1200), 0.6, 1) * length,
        )
        left = track_image(one, shape)
        image += left
        rays[left > 0] = number
    mask = np.where(image >= FULL, Mask.SATURATED, 0).astype(np.uint16)
    return Field(
        np.minimum(image, FULL).astype(np.float32), mask, rays, x, y, sky, float(np.hypot(sky**0.5, read_noise))
    )


def score(field: Field, found: Any) -> Score:
    """Count what was found of the truth, and what was found that is none; saturated pixels do not count."""
    from scipy.ndimage import binary_dilation, label

    touching = np.ones((3, 3))
    found = found & (field.mask == 0)
    strong = (field.rays > 0) & (field.mask == 0) & (field.sci > field.sky + 5 * field.noise)
    objects, named = label(found, touching)
    right = np.unique(objects[binary_dilation(field.rays > 0, touching) & found])
    return Score(
        hit=len(np.unique(field.rays[strong & found])),
        objects=len(np.unique(field.rays[strong])),
        pixels=int((strong & found).sum()),
        struck=int(strong.sum()),
        right=len(right),
        named=named,
    )
