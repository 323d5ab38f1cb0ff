"""COSMETICS asks hot, dead pixels and a bad column back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.characterise.cosmetics import COSMETICS
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from tests.unit.processors.bench_camera import HALF, OVER, ROWS, BenchCamera, known, save

COLUMN = 250


def run(tmp_path: Path, seed: int, darks: int = 3, flats: int = 4) -> tuple[Characterisation, set[tuple[int, int]]]:
    rng = np.random.default_rng(seed)
    response, current = 1 + rng.normal(0, 0.01, (ROWS, 2 * HALF)), np.full((ROWS, 2 * HALF), 0.02)
    response[:, COLUMN] = 0.1
    places = {(int(y), int(x)) for y, x in zip(rng.integers(0, ROWS, 24), rng.integers(0, COLUMN - 5, 24), strict=True)}
    ordered = sorted(places)
    for y, x in ordered[::2]:
        response[y, x] = 0.2
    for y, x in ordered[1::2]:
        current[y, x] = 3.0
    bench = BenchCamera(rng, response=response, dark_e_s=current, drift_adu=0.5)
    instruments = known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(3)]
    for n in range(3, 3 + darks):
        raw = bench.raw(0.0, 300.0)
        for y, x in zip(rng.integers(0, ROWS, 20), rng.integers(0, COLUMN, 20), strict=True):
            # a hot pixel that a cosmic ray hits in one of three darks is too noisy to be called hot
            raw[y, OVER + x] += 0 if (y, x) in places else 2000
        made.append(save(tmp_path, raw, instruments, n, "dark", EXPTIME=300.0))
    for n in range(9, 9 + flats):
        level = 2e4 * rng.uniform(0.8, 1.2)
        made.append(save(tmp_path, bench.raw(level), instruments, n, "flat", EXPTIME=2.0, FILTER="gr"[n % 2]))
    return characterise(COSMETICS, made)[0], places


@pytest.mark.parametrize("seed", range(20))
def test_bad_pixels_come_back(tmp_path: Path, seed: int) -> None:
    found, places = run(tmp_path, seed)
    listed = {(int(row[1]), int(row[0])) for table in found.tables for row in table.rows if row[0] != COLUMN}
    # the list of an amplifier ends after 200, and the bad column fills that of B
    assert {place for place in listed if place[1] < HALF} == {place for place in places if place[1] < HALF}
    assert found.value("bad_columns", "A").value == 0
    assert found.value("bad_columns", "B").value == 1
    dead = sum(x >= HALF for _, x in sorted(places)[::2])
    assert found.value("dead", "B").value == ROWS + dead
    assert found.value("hot", "A").value == sum(x < HALF for _, x in sorted(places)[1::2])
    assert found.flags == ()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    found, _ = run(tmp_path, 1, darks=0)
    assert found.messages == ("no darks: hot pixels are not known",)
    assert found.flags == ("POORQUALDATA",)
    with pytest.raises(KeyError):
        found.value("hot", "A")
