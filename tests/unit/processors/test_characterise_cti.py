"""CTI asks the inefficiency of simulated transfers back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.cti import CTI, CtiOptions
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from tests.unit.processors.bench_camera import HALF, OVER, PARALLEL, ROWS, BenchCamera, known, save

SERIAL, ALONG = 2e-5, 1e-5


def run(tmp_path: Path, seed: int, flats: int = 4, options: Any = None, level: Any = 6e4, **more: Any) -> Any:
    bench, instruments = BenchCamera(np.random.default_rng(seed), drift_adu=0.5, **more), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(3)]
    for number in range(3, 3 + flats):
        made.append(save(tmp_path, bench.raw(level), instruments, number, "flat", EXPTIME=3.0))
    found = characterise(CTI, made, options)[0]
    assert isinstance(found, Characterisation)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_both_inefficiencies_come_back(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed, options=CtiOptions(parallel=True), cti=SERIAL, parallel_cti=ALONG)
    for name in "AB":
        for way, truth in (("serial", SERIAL), ("parallel", ALONG)):
            measured = found.value(f"cti_{way}", name)
            assert measured.value == pytest.approx(truth, abs=1.2e-6)
            assert abs(measured.value - truth) < 4.5 * measured.error
            assert 5e-8 < measured.error < 6e-7
    assert found.flags == ()


@pytest.mark.parametrize("seed", range(20))
def test_perfect_transfers_and_a_pattern_of_the_bias_are_no_cti(tmp_path: Path, seed: int) -> None:
    pattern = np.zeros((ROWS + PARALLEL, 2 * (HALF + OVER)))
    # the amplifiers settle at the end of a row, light or not
    pattern[:, OVER + 2 * HALF :] = 40 * np.exp(-np.arange(OVER) / 2.0)
    found = run(tmp_path, seed, pattern_adu=pattern)
    for name in "AB":
        measured = found.value("cti_serial", name)
        assert abs(measured.value) < 4.5 * measured.error
        assert abs(measured.value) < 1.2e-6


def test_a_lit_overscan_is_not_believed(tmp_path: Path) -> None:
    pattern = np.zeros((ROWS + PARALLEL, 2 * (HALF + OVER)))
    bench, instruments = BenchCamera(np.random.default_rng(2)), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(2)]
    pattern[:, OVER + 2 * HALF : OVER + 2 * HALF + 2] = 15_000
    bench.pattern_adu = pattern
    made.append(save(tmp_path, bench.raw(6e4), instruments, 3, "flat", EXPTIME=3.0))
    found = characterise(CTI, made)[0]
    assert found.flags == ("POORQUALDATA",)
    assert found.messages == ("amplifier B, serial: the pixels after the data are lit, they are no overscan",)
    assert found.value("cti_serial", "A").number == 1


def test_no_light_is_said(tmp_path: Path) -> None:
    found = run(tmp_path, 1, flats=1, level=0.0)
    assert found.quantities == ()
    assert found.flags == ("POORQUALDATA",)
    assert "no light in the last pixel" in found.messages[0]
