"""Overscan: every method against plain numpy and against a known level, the step score, and what cannot be measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.geometry import Amplifier, Section
from processors.isr.overscan import measure_overscan, overscan_step
from processors.readout_schema import OverscanMethod

ROWS, COLUMNS, OVER, NOISE = 400, 30, 32, 4.0
METHODS = {
    "median": OverscanMethod(),
    "clipped_mean": OverscanMethod(method="clipped_mean"),
    "savgol": OverscanMethod(method="savgol", window=61, order=2),
    "spline": OverscanMethod(method="spline", window=80, order=3),
}
# what is left of the noise of a row's pixels: 1.25 and 1.0 over the root of their number, less by what is smoothed over
LEFT = {"median": 1.25, "clipped_mean": 1.0, "savgol": 0.35, "spline": 0.35}


def amplifier(method: OverscanMethod = METHODS["median"], per: str = "row") -> Amplifier:
    data = Section(0, COLUMNS, 0, ROWS)
    over = Section(COLUMNS, COLUMNS + OVER, 0, ROWS) if per != "column" else Section(0, COLUMNS, ROWS, ROWS + OVER)
    return Amplifier(
        "A", data, over, per == "row", 1, 1, 6e4, data, overscan_per_column=per == "column", overscan_method=method
    )


def by_row(rng: np.random.Generator, level: NDArray[Any]) -> Any:
    raw = rng.normal(0, NOISE, (ROWS, COLUMNS + OVER)) + level[:, None]
    return np.rint(raw).astype(np.uint16)


@pytest.mark.parametrize("name", METHODS)
def test_a_drifting_level_comes_back_over_20_seeds(name: str) -> None:
    x = np.arange(ROWS)
    left = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        level = 2000 + rng.uniform(2, 6) * np.exp(-x / 100) + rng.uniform(1, 3) * np.sin(x / 90 + rng.uniform(0, 6))
        raw = by_row(rng, level)
        for y, column in rng.integers(0, (ROWS, OVER), (20, 2)):
            raw[y, COLUMNS + column] += 2000  # cosmic rays are no light that the overscan should follow
        measured = measure_overscan(raw, amplifier(METHODS[name]))
        assert measured.level.dtype == np.float32 and measured.columns is None
        left.append(np.sqrt(np.mean((measured.level - level) ** 2)))
    assert np.median(left) < 1.2 * LEFT[name] * NOISE / np.sqrt(OVER)
    assert max(left) < 1.6 * LEFT[name] * NOISE / np.sqrt(OVER)


@pytest.mark.parametrize("name", METHODS)
def test_a_level_by_column_comes_back(name: str) -> None:
    rng = np.random.default_rng(7)
    pattern = 1500 + 3 * np.sin(np.arange(COLUMNS) / 8)
    raw = np.rint(rng.normal(0, NOISE, (ROWS + OVER, COLUMNS)) + pattern).astype(np.uint16)
    method = METHODS[name] if name in ("median", "clipped_mean") else METHODS[name].model_copy(update={"window": 15})
    measured = measure_overscan(raw, amplifier(method, "column"))
    assert measured.columns is not None
    assert np.ptp(measured.level) == 0
    left = measured.level[0] + measured.columns - pattern
    assert np.sqrt(np.mean(left**2)) < 1.5 * NOISE * 1.25 / np.sqrt(OVER)


@pytest.mark.parametrize("name", ["median", "clipped_mean"])
def test_one_level_of_the_whole_section(name: str) -> None:
    raw = by_row(np.random.default_rng(1), np.full(ROWS, 1234.0))
    raw[50, COLUMNS:] = 50000
    measured = measure_overscan(raw, amplifier(METHODS[name], "frame"))
    np.testing.assert_allclose(measured.level, 1234, atol=0.5)
    assert measured.level.shape == (ROWS,)


@pytest.mark.parametrize("seed", range(5))
def test_clipped_means_agree_with_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = by_row(rng, np.full(ROWS, 3000.0)).astype(np.float32)
    raw[rng.random(raw.shape) < 0.02] += 500
    block = raw[:, COLUMNS:].astype(float)
    residual = block - np.median(block, axis=1)[:, None]
    sigma = np.std(residual[np.abs(residual) < 5 * NOISE])
    expected = [row[np.abs(row - np.median(row)) <= 3 * sigma + 0.5].mean() for row in block]
    level = measure_overscan(raw, amplifier(METHODS["clipped_mean"])).level
    # a value at the very limit may fall on either side of it
    assert np.mean(np.abs(level - expected) < 1e-3) > 0.98


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
@pytest.mark.parametrize("seed", range(5))
def test_row_medians_follow_levels_that_jump(kind: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 65536, (ROWS, COLUMNS + OVER - seed)).astype(np.uint16)
    raw[::3] = rng.integers(0, 2, raw[::3].shape) * 65535
    raw[1::7] = rng.integers(0, 65536, (raw[1::7].shape[0], 1))
    here = replace(amplifier(), overscan=Section(COLUMNS, raw.shape[1], 0, ROWS))
    expected = np.median(raw[:, COLUMNS:], axis=1).astype(np.float32)
    np.testing.assert_array_equal(measure_overscan(raw.astype(kind), here).level, expected)


@pytest.mark.parametrize("size", [0, 5, 8, 9, 40, 300, 500])
def test_the_step_score_agrees_with_a_slow_reference(size: int) -> None:
    profile = np.random.default_rng(size).normal(0, 1, size).astype(np.float32)
    margin = min(50, size // 8)
    inner = profile[margin : size - margin]
    medians = [np.median(inner[at : at + 7]) for at in range(inner.size - 6)]
    expected = max(medians) - min(medians) if medians else 0.0
    assert overscan_step(profile) == pytest.approx(expected, abs=1e-6)


def test_a_step_is_seen_and_its_absence_too() -> None:
    quiet, jump = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        level = np.full(ROWS, 2000.0)
        quiet.append(measure_overscan(by_row(rng, level), amplifier()).step)
        level[150:] += 8.0
        # smoothing the level does not hide the step from its score
        jump.append(measure_overscan(by_row(rng, level), amplifier(METHODS["savgol"])).step)
    assert max(quiet) < 4.5
    assert np.mean(jump) - np.mean(quiet) == pytest.approx(7.5, abs=1)


@pytest.mark.parametrize("per", ["row", "column", "frame"])
@pytest.mark.parametrize("name", ["median", "clipped_mean"])
def test_nan_in_the_overscan_is_a_bad_frame(name: str, per: str) -> None:
    raw = np.full((ROWS + OVER, COLUMNS + OVER), 1000, np.float32)
    raw[ROWS // 2, COLUMNS:] = np.nan
    raw[ROWS:, 3] = np.nan
    with pytest.raises(BadFrame, match="detector 7, amplifier A: the overscan holds NaN"):
        measure_overscan(raw, amplifier(METHODS[name], per), "7")


def test_a_single_nan_is_one_too() -> None:
    raw = np.full((ROWS, COLUMNS + OVER), 1000, np.float32)
    raw[5, COLUMNS + 2] = np.nan
    for method in METHODS.values():
        with pytest.raises(BadFrame, match="holds NaN"):
            measure_overscan(raw, amplifier(method))


@pytest.mark.parametrize("name", ["savgol", "spline"])
def test_too_few_rows_to_smooth_are_a_bad_frame(name: str) -> None:
    data = Section(0, COLUMNS, 0, 3)
    few = replace(amplifier(METHODS[name]), data=data, overscan=Section(COLUMNS, COLUMNS + OVER, 0, 3))
    with pytest.raises(BadFrame, match="3 overscan levels"):
        measure_overscan(np.full((3, COLUMNS + OVER), 1000, np.uint16), few)


def test_without_an_overscan_the_level_is_zero() -> None:
    measured = measure_overscan(np.ones((ROWS, COLUMNS), np.uint16), replace(amplifier(), overscan=None))
    assert not measured.level.any()
    assert measured.step == 0
