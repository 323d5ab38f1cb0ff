"""DARK asks dark current and hot pixels back from simulated exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.dark import DARK, DarkOptions
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from tests.unit.processors.bench_camera import HALF, OVER, PARALLEL, ROWS, BenchCamera, known, save

RATE_E_H = 180.0  # 0.05 e-/pix/s
HOT = ((20, 30, 4.0), (77, 158, 6.0), (199, 201, 9.0))  # row, column of the trimmed detector, e-/s


def currents() -> np.ndarray:
    rates = np.full((ROWS, 2 * HALF), RATE_E_H / 3600)
    for row, column, rate in HOT:
        rates[row, column] = rate
    return rates


def pattern(rms: float = 2.0) -> np.ndarray:
    return np.random.default_rng(77).normal(0, rms, (ROWS + PARALLEL, 2 * (HALF + OVER)))


def run(tmp_path: Path, seed: int, times: tuple[float, ...], biases: int = 4, **camera: Any) -> Characterisation:
    settings: dict[str, Any] = {"pattern_adu": pattern(), "dark_e_s": currents(), "drift_adu": 0.5, **camera}
    bench = BenchCamera(np.random.default_rng(seed), **settings)
    instruments = known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(biases)]
    for number, time in enumerate(times, biases):
        raw = bench.raw(0.0, time)
        raw[number * 7, 60] += 5000  # a cosmic ray
        made.append(save(tmp_path, raw, instruments, number, "dark", EXPTIME=time))
    return characterise(DARK, made)[0]


@pytest.mark.parametrize("seed", range(20))
def test_current_and_hot_pixels_come_back(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed, (600.0, 600.0, 600.0, 300.0))
    for name in "AB":
        current = found.value("dark_current", name)
        assert current.value == pytest.approx(RATE_E_H, rel=0.03)
        assert abs(current.value - RATE_E_H) < 5 * current.error
    assert found.value("hot_pixels", "A").value == 2
    assert found.value("hot_pixels", "B").value == 1
    rows = [row for table in found.tables for row in table.rows]
    assert {(y, x) for x, y, _ in rows} == {(row, column) for row, column, _ in HOT}
    for x, y, rate in rows:
        truth = next(r for row, column, r in HOT if (row, column) == (y, x))
        assert rate == pytest.approx(3600 * truth, rel=0.1)
    assert found.flags == ()


def test_without_biases_two_times_take_the_structure_out(tmp_path: Path) -> None:
    found = run(tmp_path, 5, (60.0, 60.0, 600.0, 600.0), biases=0, pattern_adu=pattern() + 20.0 * np.eye(216, 368))
    assert found.value("dark_current", "A").value == pytest.approx(RATE_E_H, rel=0.05)
    assert found.value("hot_pixels", "A").value == 2
    assert found.flags == ()


def test_one_time_without_biases_is_said_to_be_poor(tmp_path: Path) -> None:
    found = run(tmp_path, 5, (600.0, 600.0), biases=0)
    assert found.flags == ("POORQUALDATA",)
    assert "bias structure counts as dark" in found.messages[0]


def test_limits_given_for_the_occasion_decide_and_a_threshold_hides_lukewarm_pixels(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(2), dark_e_s=currents()), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(2)]
    made += [save(tmp_path, bench.raw(0.0, 600.0), instruments, n, "dark", EXPTIME=600.0) for n in (2, 3)]
    made.append(save(tmp_path, bench.raw(0.0), instruments, 4, "dark"))
    found = characterise(DARK, made, DarkOptions(hot_e_h=18000), limits=(("dark_current", (None, 100.0)),))[0]
    assert found.flags == ("DARK_OOL",)
    assert found.value("hot_pixels", "A").value == 1
    assert found.value("dark_current", "A").limits == (None, 100.0)
    assert [use.reason for use in found.frames if not use.role] == ["a dark of 0 s"]
