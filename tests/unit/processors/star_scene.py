"""Small images of the simulator's stars on a flat sky, with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.simulator.stars import Psf, add_stars

SKY, READ_NOISE = 400.0, 6.0  # e-


@dataclass(frozen=True, slots=True)
class Scene:
    """`sci` e- and `var` e-²; stars' x, y (pixels from 0) and flux (e-); those `alone` have no neighbour in 8 FWHM."""

    sci: Any
    var: Any
    x: Any
    y: Any
    flux: Any
    alone: Any


def make(
    seed: int,
    shape: tuple[int, int] = (384, 384),
    stars: int = 40,
    *,
    fwhm: float = 3.5,
    e1: float = 0.0,
    e2: float = 0.0,
    faintest: float = 3e3,
    brightest: float = 2e5,
    sky: float = SKY,
) -> Scene:
    """A field of stars evenly spaced in magnitude."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(5, shape[1] - 6, stars), rng.uniform(5, shape[0] - 6, stars)
    flux = np.geomspace(faintest, brightest, stars)
    light = np.full(shape, sky, np.float32)
    add_stars(light, x, y, flux, Psf(fwhm, e1, e2))
    sci = (rng.poisson(light) + rng.normal(0, READ_NOISE, shape)).astype(np.float32)
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + np.diag(np.full(stars, np.inf))
    inside = (np.minimum(x, shape[1] - 1 - x) > 20) & (np.minimum(y, shape[0] - 1 - y) > 20)
    return Scene(sci, (np.maximum(sci, 0) + READ_NOISE**2).astype(np.float32), x, y, flux,
                 inside & (apart.min(axis=1, initial=np.inf) > 8 * fwhm))  # fmt: skip


def pairs(scene: Scene, x: Any, y: Any) -> tuple[Any, Any]:
    """Indices of lonely true stars, and of what was found within a pixel and a half of each."""
    apart = np.hypot(scene.x[:, None] - x, scene.y[:, None] - y)
    nearest = apart.argmin(axis=1)
    true = np.flatnonzero(scene.alone & (apart.min(axis=1) < 1.5))
    return true, nearest[true]
