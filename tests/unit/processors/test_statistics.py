"""Clipped numbers do not depend on the unit of the values."""

from __future__ import annotations

import numpy as np
import pytest

from processors.masters.cosmetics import hot_pixels
from processors.statistics import clipped, half_step


@pytest.mark.parametrize("unit", [1e-6, 0.01, 1.0, 1e6])
@pytest.mark.parametrize("whole", [False, True])
def test_outliers_go_in_every_unit(unit: float, whole: bool) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(100, 2, 20_000)
    values[::100] += rng.uniform(20, 200, 200)
    mean, sigma, number = clipped((np.rint(values) if whole else values) * unit)
    assert mean / unit == pytest.approx(100, abs=0.1)
    assert sigma / unit == pytest.approx(2, rel=0.03)
    assert number == pytest.approx(19_800, abs=40)


@pytest.mark.parametrize("sigma", [0.2, 0.3, 0.5, 1.0])
def test_few_whole_numbers_keep_their_scatter(sigma: float) -> None:
    values = np.rint(np.random.default_rng(5).normal(100.3, sigma, 50_000)) * 2.5
    assert clipped(values)[1] == pytest.approx(values.std(), rel=0.01)


def test_steps() -> None:
    values = np.random.default_rng(6).normal(0, 5, 10_000)
    assert half_step(values) < 0.02
    assert half_step(np.rint(values) * 3 + 0.1) == pytest.approx(1.5)
    assert half_step(np.ones(7)) == 0


def test_hot_pixels_of_a_faint_dark_do_not_hide_each_other() -> None:
    """One per cent of them, at rates below 0.5 e-/s: the scatter of the others is 0.002 e-/s."""
    rng = np.random.default_rng(7)
    dark = rng.normal(0.003, 0.002, (300, 300)).astype(np.float32)
    truth = rng.random(dark.shape) < 0.01
    dark[truth] += rng.uniform(0.12, 0.45, int(truth.sum())).astype(np.float32)
    np.testing.assert_array_equal(hot_pixels(dark, np.full(dark.shape, 4e-6, np.float32)), truth)
