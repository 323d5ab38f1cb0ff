"""BIAS asks offset, read noise, structure and shared noise back from simulated runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.bias import BIAS, BiasOptions
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from tests.unit.processors.bench_camera import HALF, OVER, PARALLEL, ROWS, BenchCamera, known, save

SEEDS = range(20)
ROW_RMS, COLUMN_RMS, PIXEL_RMS = 1.5, 2.0, 1.0


def pattern(seed: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    full = np.zeros((ROWS + PARALLEL, 2 * (HALF + OVER)))
    data = full[:ROWS, OVER : OVER + 2 * HALF]
    data += ROW_RMS * np.sqrt(2) * np.sin(2 * np.pi * 5 * np.arange(ROWS) / ROWS)[:, None]
    data += COLUMN_RMS * np.sqrt(2) * np.sin(2 * np.pi * 8 * np.arange(2 * HALF) / HALF)[None, :]
    data += rng.normal(0, PIXEL_RMS, data.shape)
    return full


def run(tmp_path: Path, seed: int, frames: int = 6, **camera: Any) -> Characterisation:
    bench = BenchCamera(np.random.default_rng(seed), pattern_adu=pattern(seed), drift_adu=0.7, **camera)
    instruments = known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(frames)]
    return characterise(BIAS, made)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_offset_noise_and_structure_come_back(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed, row_noise_adu=0.5, shared_adu=1.0)
    for name, level, noise_e, gain in (("A", 1000, 6.0, 2.0), ("B", 1200, 7.0, 3.0)):
        offset = found.value("offset", name)
        assert offset.value == pytest.approx(level, abs=1.2)  # the drift of six frames
        assert abs(offset.value - level) < 5 * offset.error
        # read noise, noise shared by amplifiers and by rows, and digitisation
        expected = gain * np.sqrt((noise_e / gain) ** 2 + 1.0 + 0.25 + 1 / 12)
        assert found.value("read_noise", name).value == pytest.approx(expected, rel=0.02)
        assert found.value("row_noise", name).value == pytest.approx(0.5, abs=0.08)
        assert found.value("pattern_rows", name).value == pytest.approx(ROW_RMS, rel=0.08)
        assert found.value("pattern_columns", name).value == pytest.approx(COLUMN_RMS, rel=0.03)
        assert found.value("pattern_pixels", name).value == pytest.approx(PIXEL_RMS, rel=0.05)
    white = [(6 / 2) ** 2, (7 / 3) ** 2]
    truth = 1 / np.sqrt((white[0] + 1.25 + 1 / 12) * (white[1] + 1.25 + 1 / 12))
    assert found.value("noise_correlation").value == pytest.approx(truth, abs=0.02)
    assert found.flags == ()


def test_no_structure_is_found_where_there_is_none(tmp_path: Path) -> None:
    bench = BenchCamera(np.random.default_rng(3))
    instruments = known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(4)]
    found = characterise(BIAS, made)[0]
    for name in "AB":
        for part in ("row_noise", "pattern_rows", "pattern_columns", "pattern_pixels"):
            quantity = found.value(part, name)
            assert quantity.value < 4 * quantity.error
            assert quantity.value < 0.15
    correlation = found.value("noise_correlation")
    assert abs(correlation.value) < 4 * correlation.error


def test_out_of_limits_read_noise_is_flagged_and_figures_are_small(tmp_path: Path) -> None:
    found = run(tmp_path, 1, noises_e=(9.0, 7.0))
    assert found.flags == ("RON_OOL",)
    assert found.value("read_noise", "A").verdict == "warning"
    assert found.value("read_noise", "B").verdict == "ok"
    assert {figure.name for figure in found.figures} == {"offset", "rows", "columns", "noise", "correlation"}
    assert all(len(s.x) == len(s.y) <= 512 for figure in found.figures for s in figure.series)


def test_one_bias_is_missing_data_and_frames_are_accounted_for(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    bias = save(tmp_path, bench.raw(0.0), instruments, 1, "bias")
    flat = save(tmp_path, bench.raw(9000.0), instruments, 2, "flat", EXPTIME=1.0)
    found = characterise(BIAS, [bias, bias, flat])[0]
    assert found.flags == ("MISSDATA",)
    assert [(use.role, use.reason) for use in found.frames] == [
        ("bias", ""),
        ("", "the same exposure as bias001.fits"),
        ("", "obstype flat, not bias"),
    ]


def test_only_as_many_frames_as_wanted(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(4)]
    found = characterise(BIAS, made, BiasOptions(most=3))[0]
    assert sum(use.role == "bias" for use in found.frames) == 3
    assert [use.reason for use in found.frames if not use.role] == ["3 are enough"]
