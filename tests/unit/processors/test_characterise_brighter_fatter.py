"""The kernel solves Poisson's equation, and the correction takes covariances away and keeps all charge."""

from __future__ import annotations

import numpy as np
import pytest

from processors.characterise.brighter_fatter import brighter_fatter_kernel, without_brighter_fatter
from processors.characterise.pairs import covariances_of

A00, A01, A10 = -2.4e-6, 4.0e-7, 8.0e-7


def coefficients() -> np.ndarray:
    a = np.zeros((3, 3))
    a[0, 0], a[0, 1], a[1, 0] = A00, A01, A10
    return a


def flat(rng: np.random.Generator, level: float, side: int = 300, steps: int = 40) -> np.ndarray:
    """Light that falls bit by bit by the areas that pixels have by then."""
    charge = np.zeros((side, side))
    for _ in range(steps):
        beside = np.roll(charge, 1, 1) + np.roll(charge, -1, 1)
        above = np.roll(charge, 1, 0) + np.roll(charge, -1, 0)
        charge += rng.poisson(level / steps * (1 + A00 * charge + A01 * beside + A10 * above))
    return charge


def test_laplacian_of_the_kernel_is_minus_a() -> None:
    a = np.random.default_rng(0).normal(0, 1e-7, (4, 4))
    kernel = brighter_fatter_kernel(a)
    half = kernel.shape[0] // 2
    for j in range(half):
        for i in range(half):
            y, x = half + j, half + i
            laplacian = kernel[y + 1, x] + kernel[y - 1, x] + kernel[y, x + 1] + kernel[y, x - 1] - 4 * kernel[y, x]
            expected = -a[j, i] if j < 4 and i < 4 else 0.0
            assert laplacian == pytest.approx(expected, abs=1e-18)
    assert np.allclose(kernel, kernel[::-1, ::-1])


@pytest.mark.parametrize("seed", range(20))
def test_correction_makes_a_flat_white_again(seed: int) -> None:
    rng, level, kernel = np.random.default_rng(seed), 5e4, brighter_fatter_kernel(coefficients())
    raw = [flat(rng, level).astype(np.float32) for _ in range(2)]
    corrected = [without_brighter_fatter(image, kernel) for image in raw]
    before, after = (covariances_of(a - b, 3) / 2 / level for a, b in (raw, corrected))
    # 1 + aμ, and the second order of equation 20 of Astier et al.
    second = 2 / 3 * (A00**2 + 2 * A01**2 + 2 * A10**2) * level**2
    assert before[0, 0] == pytest.approx(1 + A00 * level + second, abs=0.02)
    assert after[0, 0] == pytest.approx(1, abs=0.02)
    assert before[1, 0] > 0.025
    # second order is left, noise is 0.0024
    assert abs(after[1, 0]) < 0.016
    assert abs(after[0, 1]) < 0.016
    for one, other in zip(raw, corrected, strict=True):
        assert other.sum(dtype=np.float64) == pytest.approx(one.sum(dtype=np.float64), rel=1e-7)


def test_a_star_gets_sharper() -> None:
    y, x = np.mgrid[-20:21, -20:21]
    star = (8e4 * np.exp(-(x**2 + y**2) / 8) + 100).astype(np.float32)
    corrected = without_brighter_fatter(star, brighter_fatter_kernel(coefficients()))
    assert corrected[20, 20] > star[20, 20]
    assert corrected.sum() == pytest.approx(star.sum(), rel=1e-6)
