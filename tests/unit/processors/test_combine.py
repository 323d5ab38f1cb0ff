"""Combining against a slow, obvious reference."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.masters.combine import combine


def reference(stack: Any, method: str, low: float, high: float, noise: tuple[float, float]) -> tuple[float, float, int]:
    """One pixel, in plain Python."""
    values = sorted(float(value) for value in stack if np.isfinite(value))
    n = len(values)
    if n == 0:
        return np.nan, np.nan, 0
    median = float(np.median(values))
    expected = noise[0] + noise[1] * max(median, 0)
    sigma = expected**0.5
    if n >= 4:
        blom = NormalDist().inv_cdf((n - n // 4 - 0.375) / (n + 0.25))
        sigma = max(sigma, (values[n - 1 - n // 4] - values[n // 4]) / (2 * blom))
    kept = values
    if n > 2 and sigma > 0:
        kept = [value for value in values if median - low * sigma <= value <= median + high * sigma]
    variance = max(float(np.var(kept, ddof=1)) if len(kept) > 1 else 0.0, expected)
    if method == "median":
        return float(np.median(kept)), variance * (np.pi / 2 if len(kept) > 2 else 1) / len(kept), len(kept)
    return float(np.mean(kept)), variance / len(kept), len(kept)


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 8, 20, 33, 150])
@pytest.mark.parametrize("noise", [(0.0, 0.0), (4.0, 0.02)])
def test_the_kernel_agrees_with_the_slow_reference(
    method: Literal["mean", "median"], images: int, noise: tuple[float, float]
) -> None:
    rng = np.random.default_rng(images)
    stack = rng.normal(100, 3, (images, 12, 17)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.05] += 500
    stack[rng.random(stack.shape) < 0.1] = np.nan
    stack[:, 0, 0] = np.nan
    made = combine(list(stack), method, 3.0, 2.5, noise)
    for y in range(12):
        for x in range(17):
            value, variance, count = reference(stack[:, y, x], method, 3.0, 2.5, noise)
            np.testing.assert_allclose(made.value[y, x], value, rtol=1e-5)
            np.testing.assert_allclose(made.variance[y, x], variance, rtol=1e-3, atol=1e-4)
            assert made.count[y, x] == count


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("threads", [1, 2])
def test_whole_stacks_and_such_with_gaps_are_judged_alike(seed: int, threads: int) -> None:
    """Blocks without gaps take the vector path; rows of more pixels than a block has, values of odd sizes."""
    rng = np.random.default_rng(seed)
    images, columns = int(rng.integers(3, 25)), int(rng.integers(200, 700))
    stack = (rng.normal(0, 1, (images, 3, columns)) * 10.0 ** rng.integers(-3, 6) + rng.normal(0, 1e3)).astype("f4")
    stack[rng.random(stack.shape) < 0.02] += 3e4
    stack[0, 1, rng.random(columns) < 0.3] = np.inf
    made = combine(list(stack), "mean", 3.0, 4.0, (0.5, 0.1), threads=threads)
    for y, x in zip(rng.integers(0, 3, 60), rng.integers(0, columns, 60), strict=True):
        value, variance, count = reference(stack[:, y, x], "mean", 3.0, 4.0, (0.5, 0.1))
        scale = np.abs(stack[:, y, x][np.isfinite(stack[:, y, x])]).max()
        assert made.count[y, x] == count
        np.testing.assert_allclose(made.value[y, x], value, rtol=1e-6, atol=2e-7 * scale)
        np.testing.assert_allclose(made.variance[y, x], variance, rtol=2e-3)


def test_tiles_and_memory_maps_change_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    stack = rng.normal(0, 1, (6, 37, 20)).astype(np.float32)
    np.save(tmp_path / "stack.npy", stack)
    whole = combine(list(stack))
    tiled = combine(list(np.load(tmp_path / "stack.npy", mmap_mode="r")), memory_mb=0.003)
    for name in ("value", "variance", "count"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(tiled, name))


def test_outliers_go_and_the_noise_averages_down() -> None:
    rng = np.random.default_rng(2)
    stack = rng.normal(50, 4, (9, 200, 200)).astype(np.float32)
    stack[4, 50:60] += 300
    made = combine(list(stack), noise=(16.0, 0.0))
    assert made.value.mean() == pytest.approx(50, abs=0.02)
    assert made.value.std() == pytest.approx(4 / 3, rel=0.03)
    assert made.count[50:60].max() <= 8
    assert np.sqrt(made.variance.mean()) == pytest.approx(4 / 3, rel=0.1)


def test_a_single_outlier_among_three_goes_by_the_noise_expected() -> None:
    stack = [np.full((2, 2), value, np.float32) for value in (10.0, 11.0, 500.0)]
    assert combine(stack, noise=(1.0, 0.0)).value[0, 0] == pytest.approx(10.5)
    assert combine(stack).count[0, 0] == 3


@settings(max_examples=100)
@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=9))
def test_any_values_give_a_value_within_their_range(values: list[float]) -> None:
    made = combine([np.array([[value]], np.float32) for value in values])
    finite = [value for value in values if np.isfinite(value)]
    assert 0 < made.count[0, 0] <= len(finite) if finite else made.count[0, 0] == 0
    if finite and max(map(abs, finite)) < 1e18:
        slack = 1e-6 * max(map(abs, finite)) + 1e-30
        assert min(finite) - slack <= made.value[0, 0] <= max(finite) + slack


def test_images_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot combine"):
        combine([np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32)])
    with pytest.raises(ValueError, match="cannot combine 0"):
        combine([])


def test_limits_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot clip at 0\.5"):
        combine([np.zeros((2, 2), np.float32)], low=0.5)
