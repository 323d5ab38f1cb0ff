"""Read noise and gain come back from simulated pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from processors.ptc import gain, gain_from_pair, read_noise, read_noise_from_pair
from processors.statistics import clipped, quick_median

GAIN, NOISE_ADU = 1.7, 4.0


def flat(rng: np.random.Generator, electrons: float) -> Any:
    rows, columns = np.mgrid[0:300, 0:300]
    pattern = 1 + 0.1 * rows / 300 - 0.15 * columns / 300
    pattern *= 1 + 0.02 * np.random.default_rng(99).normal(size=pattern.shape)  # the same pixels in every exposure
    return rng.poisson(electrons * pattern) / GAIN + rng.normal(0, NOISE_ADU, pattern.shape)


@pytest.mark.parametrize("seed", range(5))
def test_gain_within_one_percent_in_spite_of_pattern_stars_and_unequal_levels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = flat(rng, 20000), flat(rng, 26000)
    a[100:104, 100:104] += 20000
    measured = gain_from_pair(a, b, NOISE_ADU, box=30)
    assert measured.value == pytest.approx(GAIN, rel=0.01)
    assert abs(measured.value - GAIN) < 4 * measured.error
    assert measured.number == 100


def test_gain_of_a_run_weighs_its_pairs() -> None:
    rng = np.random.default_rng(7)
    measured = gain([flat(rng, level) for level in (18000, 20000, 22000)], NOISE_ADU, box=30)
    assert measured.value == pytest.approx(GAIN, rel=0.01)
    assert measured.number == 200


def test_read_noise_of_whole_numbers_with_pattern_drift_and_cosmics() -> None:
    rng = np.random.default_rng(1)
    pattern = rng.normal(1000, 20, (300, 300))
    biases = [np.round(pattern + drift + rng.normal(0, NOISE_ADU, (300, 300))) for drift in (0, 3, 4)]
    biases[1][5:8, 5:8] += 3000
    quantised = math.hypot(NOISE_ADU, 12**-0.5)
    assert read_noise_from_pair(biases[0], biases[1]) == pytest.approx(quantised, rel=0.01)
    assert read_noise(biases).value == pytest.approx(quantised, rel=0.01)
    assert read_noise(biases).number == 2


def test_nothing_to_measure_is_not_a_number() -> None:
    dark = np.zeros((60, 60), np.float32)
    assert gain_from_pair(dark, dark, NOISE_ADU).number == 0
    assert math.isnan(gain([dark, dark], NOISE_ADU).value)
    saturated = np.full((60, 60), 65535.0)
    assert gain_from_pair(saturated, saturated, NOISE_ADU, most_adu=60000).number == 0
    nan = np.full((60, 60), np.nan)
    assert math.isnan(read_noise_from_pair(nan, nan))
    assert math.isnan(read_noise([]).value)
    assert gain_from_pair(nan, nan, NOISE_ADU).number == 0


def test_clipped_sigma_is_unbiased_and_ignores_outliers() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(10, 3, 200_000)
    values[:500] = 1000
    values[500:600] = np.nan
    mean, sigma, number = clipped(values)
    assert mean == pytest.approx(10, abs=0.03)
    assert sigma == pytest.approx(3, rel=0.01)
    assert 199_000 < number < 199_500
    assert clipped(np.full(10, 7))[:2] == (7.0, 0.0)
    assert clipped(np.array([]))[2] == 0


def test_quick_median_of_large_images_is_that_of_a_sample() -> None:
    image = np.random.default_rng(0).normal(5, 1, (2000, 1000))
    assert quick_median(image) == pytest.approx(5, abs=0.01)
    assert math.isnan(quick_median(np.full((3, 3), np.nan)))
