"""The smooth part of an image, and the sources upon it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.masters.source_mask import source_mask
from processors.masters.surface import smooth_surface

Y, X = np.mgrid[0:200, 0:160] / 100.0
SKY = (1 + 0.1 * X - 0.05 * Y**2 + 0.03 * X * Y).astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_the_surface_comes_back_from_under_noise_hot_pixels_and_holes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = SKY + rng.normal(0, 0.01, SKY.shape).astype(np.float32)
    image[rng.random(SKY.shape) < 0.02] += 10
    image[:, rng.integers(160)] = 0
    image[60:90, 40:80] = np.nan
    surface = smooth_surface(image)
    assert surface.dtype == np.float32
    np.testing.assert_allclose(surface, SKY, atol=0.005)


def test_what_is_known_nowhere_has_no_surface() -> None:
    assert np.isnan(smooth_surface(np.full((20, 30), np.nan, np.float32))).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (16, 16)])
def test_small_images_get_what_they_bear(shape: tuple[int, int]) -> None:
    np.testing.assert_allclose(smooth_surface(np.full(shape, 7, np.float32)), 7, rtol=1e-5)


def star(image: NDArray[np.float32], x: float, y: float, flux: float) -> None:
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    image += (flux / (2 * np.pi * 4) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)).astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_stars_are_masked_and_the_sky_is_left(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = SKY + rng.normal(0, 0.02, SKY.shape).astype(np.float32)
    places = rng.uniform(10, 150, (6, 2))
    for x, y in places:
        star(image, x, y, 10.0)
    image[5, 5] = np.nan
    masked = source_mask(image)
    assert all(masked[round(y), round(x)] for x, y in places)
    left = (image - SKY)[~masked]
    assert abs(np.nanmedian(left)) < 0.001
    assert np.nanmax(left) < 0.02 * 6
    assert masked.mean() < 0.12


def test_noise_alone_is_hardly_masked() -> None:
    image = np.random.default_rng(3).normal(100, 3, (400, 400)).astype(np.float32)
    assert source_mask(image).mean() < 0.05
