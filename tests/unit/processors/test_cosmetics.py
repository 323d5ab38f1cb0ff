"""Bad pixels in made planes: what was put in is found, and little else."""

from __future__ import annotations

import numpy as np
import pytest

from processors.masters.combine import combine
from processors.masters.cosmetics import dead_pixels, grow_columns, hot_pixels, unstable_pixels

SHAPE = (120, 100)


@pytest.mark.parametrize("seed", range(20))
def test_hot_pixels_stand_out_of_noise_and_glow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    glow = np.linspace(0, 0.5, SHAPE[0], dtype=np.float32)[:, None]
    dark = (glow + 0.01 + rng.normal(0, 0.005, SHAPE)).astype(np.float32)
    truth = rng.random(SHAPE) < 0.003
    dark[truth] += rng.uniform(0.15, 5, truth.sum())
    variance = np.full(SHAPE, 0.005**2, np.float32)
    found = hot_pixels(dark, variance)
    np.testing.assert_array_equal(found, truth)


def test_a_pixel_that_is_bright_by_its_own_noise_is_not_hot() -> None:
    dark, variance = np.zeros(SHAPE, np.float32), np.full(SHAPE, 1e-6, np.float32)
    dark[50, 50], variance[50, 50] = 1.0, 0.04
    assert not hot_pixels(dark, variance).any()


@pytest.mark.parametrize("seed", range(20))
def test_unstable_pixels_scatter_more_than_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stack = rng.normal(0, 3, (12, *SHAPE)).astype(np.float32)
    truth = rng.random(SHAPE) < 0.003
    stack[:, truth] += 60 * rng.integers(0, 2, (12, int(truth.sum())))
    made = combine(list(stack), noise=(9.0, 0.0))
    found = unstable_pixels(made.variance, made.count)
    assert not (found & ~truth).any()
    jumps = np.minimum((stack > 30).sum(axis=0), (stack < 30).sum(axis=0))
    assert found[jumps >= 4].all()  # fewer are outside of the middle half: outliers, as cosmic rays are


def test_few_inputs_say_nothing_of_stability() -> None:
    assert not unstable_pixels(np.array([[1.0, 1000.0]], np.float32), np.array([[4, 4]], np.uint16)).any()


def test_what_the_signal_explains_is_not_unstable() -> None:
    count, shot = np.full(SHAPE, 10, np.uint16), np.full(SHAPE, 1.0, np.float32)
    variance = np.full(SHAPE, 0.2, np.float32)
    shot[10, 10], variance[10, 10], variance[20, 20] = 500.0, 50.1, 50.1
    found = unstable_pixels(variance, count, shot)
    assert found[20, 20]
    assert not found[10, 10]


def test_a_pixel_that_loses_most_of_its_values_is_unstable() -> None:
    count, variance = np.full(SHAPE, 10, np.uint16), np.ones(SHAPE, np.float32)
    count[3, 4], count[5, 6] = 4, 0
    found = unstable_pixels(variance, count)
    assert found[3, 4]
    assert found.sum() == 1  # nothing at all is known of 5, 6: the flat tells


@pytest.mark.parametrize("seed", range(20))
def test_dead_pixels_are_dark_bright_or_unknown_in_the_flat(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flat = (np.linspace(0.4, 1.6, SHAPE[1]) + rng.normal(0, 0.01, SHAPE)).astype(np.float32)
    truth = rng.random(SHAPE) < 0.003
    flat[truth] *= rng.choice([0.0, 0.3, 3.0, np.nan], truth.sum())
    np.testing.assert_array_equal(dead_pixels(flat), truth)


def test_a_column_that_is_bad_here_and_there_is_bad_all_along() -> None:
    bad = np.zeros(SHAPE, bool)
    bad[20:100:2, 7] = True
    bad[5, 7] = True
    bad[[10, 50, 90], 30] = True
    grown = grow_columns(bad)
    assert grown[20:99, 7].all()
    assert not grown[6:19, 7].any()
    np.testing.assert_array_equal(grown[:, 30], bad[:, 30])
