"""FLAT asks level, pixel response and illumination back from simulated flats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.flat import FLAT
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from tests.unit.processors.bench_camera import HALF, ROWS, BenchCamera, known, save

PRNU, TILT, LEVEL_E = 0.012, 0.10, 40_000.0


def light(seed: int, prnu: float = PRNU) -> np.ndarray:
    response = 1 + np.random.default_rng(500 + seed).normal(0, prnu, (ROWS, 2 * HALF))
    return response * (1 + TILT * (np.arange(2 * HALF) / (2 * HALF) - 0.5))


def run(tmp_path: Path, seed: int, response: Any, frames: int = 3) -> Characterisation:
    bench = BenchCamera(np.random.default_rng(seed), response=response)
    instruments = known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(2)]
    for number in range(frames):
        level = LEVEL_E * (1 + 0.01 * number)
        made.append(save(tmp_path, bench.raw(level), instruments, 10 + number, "flat", FILTER="g", EXPTIME=1.0))
    return characterise(FLAT, made)[0]


@pytest.mark.parametrize("seed", range(20))
def test_response_level_and_illumination_come_back(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed, light(seed))
    for name, gain, side in (("A", 2.0, -1), ("B", 3.0, 1)):
        response = found.value("prnu", name)
        assert response.value == pytest.approx(100 * PRNU, rel=0.06)
        assert abs(response.value - 100 * PRNU) < 5 * response.error
        expected = LEVEL_E * 1.01 * (1 + side * TILT / 4)
        assert found.value("fluence", name).value == pytest.approx(expected, rel=0.003)
        assert found.value("level", name).value == pytest.approx(expected / gain, rel=0.003)
        assert found.value("stability", name).value == pytest.approx(0.99, abs=0.05)
        assert found.value("gradient_x", name).value == pytest.approx(50 * TILT, abs=1.0)
        assert abs(found.value("gradient_y", name).value) < 0.6
    assert found.value("illumination").value == pytest.approx(90 * TILT, abs=0.6)
    assert found.group == "g"
    assert found.flags == ()


def test_noise_alone_is_no_response(tmp_path: Path) -> None:
    response = run(tmp_path, 4, 1.0, frames=5).value("prnu", "A")
    assert response.value < 0.1
    assert response.value < 3 * response.error


def test_filters_are_kept_apart_and_saturation_is_flagged(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    made = []
    for number, (name, electrons) in enumerate([("g", 9e3), ("g", 9e3), ("r", 2e5), ("r", 2e5), ("i", 9e3)]):
        made.append(save(tmp_path, bench.raw(electrons), instruments, number, "flat", FILTER=name, EXPTIME=1.0))
    limits = (("saturated", (None, 0.01)),)
    found = {result.group: result.flags for result in characterise(FLAT, made, limits=limits)}
    assert found == {"g": (), "r": ("SATURATION",), "i": ("MISSDATA",)}
