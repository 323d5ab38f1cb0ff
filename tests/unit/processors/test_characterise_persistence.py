"""PERSISTENCE asks trapped charge and its release back from darks after a bright exposure."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.persistence import PERSISTENCE, fit_decay, released
from processors.characterise.run import characterise
from processors.fits import Frame
from processors.ptc import Measured
from tests.unit.processors.bench_camera import HALF, ROWS, BenchCamera, known, save

TRAPPED, TIME_S, DARK_S = 120.0, 150.0, 60.0
BEGIN = dt.datetime(2024, 3, 1, 20)


def spots() -> np.ndarray:
    lit = np.zeros((ROWS, 2 * HALF), bool)
    for x in (60, 240):
        lit[80:110, x - 15 : x + 15] = True
    return lit


class Sequence:
    """Frames one after the other, with a readout of 10 s; time goes on by itself."""

    def __init__(self, tmp_path: Path, bench: BenchCamera) -> None:
        self._path, self._bench, self._instruments = tmp_path, bench, known(tmp_path)
        self._now = BEGIN
        self.frames: list[Frame] = []

    def expose(self, obstype: str, electrons: Any, exptime_s: float) -> None:
        raw = self._bench.raw(electrons, exptime_s)
        number = len(self.frames)
        cards = {"DATE_OBS": self._now.isoformat(), "EXPTIME": exptime_s}
        self.frames.append(save(self._path, raw, self._instruments, number, obstype, **cards))
        self._now += dt.timedelta(seconds=exptime_s + 10)

    def darks(self, number: int, begin: float, everywhere: bool = False) -> None:
        for n in range(number):
            start = begin + n * (DARK_S + 10)
            charge = float(released(np.array(start), np.array(start + DARK_S), TRAPPED, TIME_S))
            self.expose("dark", charge if everywhere else charge * spots(), DARK_S)


@pytest.mark.parametrize("seed", range(20))
def test_charge_and_time_constant_come_back(tmp_path: Path, seed: int) -> None:
    pattern = np.random.default_rng(5).normal(0, 3, (216, 368))
    bench = BenchCamera(np.random.default_rng(seed), dark_e_s=0.05, pattern_adu=pattern, drift_adu=0.5)
    sequence = Sequence(tmp_path, bench)
    for _ in range(3):
        sequence.expose("dark", 0.0, DARK_S)
    sequence.expose("flat", 1e5 * spots() + 10, 5.0)
    sequence.darks(6, 10.0)
    found = characterise(PERSISTENCE, sequence.frames)[0]
    first = float(released(np.array(10.0), np.array(70.0), TRAPPED, TIME_S))
    for name in "AB":
        measured = found.value("persistence", name)
        assert measured.value == pytest.approx(first, abs=2.0)
        assert abs(measured.value - first) < 4.5 * measured.error
        assert found.value("persistence_ppm", name).value == pytest.approx(first / 1e5 * 1e6, rel=0.06)
        assert found.value("trapped", name).value == pytest.approx(TRAPPED, rel=0.08)
        assert found.value("decay_time", name).value == pytest.approx(TIME_S, rel=0.15)
    assert found.flags == ()
    assert [use.role for use in found.frames].count("bright") == 1


def test_a_detector_that_was_lit_all_over_is_compared_with_darks_before(tmp_path: Path) -> None:
    sequence = Sequence(tmp_path, BenchCamera(np.random.default_rng(1), dark_e_s=0.05))
    sequence.expose("dark", 0.0, DARK_S)
    sequence.expose("flat", 1e5, 5.0)
    sequence.darks(3, 10.0, everywhere=True)
    found = characterise(PERSISTENCE, sequence.frames)[0]
    assert found.value("trapped", "A").value == pytest.approx(TRAPPED, rel=0.05)


def test_nothing_to_compare_with_or_no_light_is_poor_and_says_so(tmp_path: Path) -> None:
    sequence = Sequence(tmp_path, BenchCamera(np.random.default_rng(1)))
    sequence.expose("flat", 1e5, 5.0)
    sequence.darks(1, 10.0, everywhere=True)
    found = characterise(PERSISTENCE, sequence.frames)[0]
    assert found.flags == ("POORQUALDATA",)
    assert "no darks before or biases to compare with" in found.messages[0]
    darks = [frame for frame in sequence.frames if frame.identity.obstype == "dark"]
    assert characterise(PERSISTENCE, darks)[0].messages == ("no light before any of the darks",)


def test_only_the_last_light_before_darks_counts(tmp_path: Path) -> None:
    sequence = Sequence(tmp_path, BenchCamera(np.random.default_rng(1)))
    sequence.expose("bias", 0.0, 0.0)
    sequence.expose("flat", 1e5 * spots(), 5.0)
    sequence.darks(1, 10.0)
    sequence.expose("flat", 1e5 * spots(), 5.0)
    sequence.darks(2, 10.0)
    found = characterise(PERSISTENCE, sequence.frames)[0]
    reasons = {Path(use.file).name: use.reason for use in found.frames if use.reason}
    assert reasons == {
        "dark002.fits": "follows another exposure",
        "flat001.fits": "not the last exposure before darks",
    }
    assert found.value("persistence", "A").value == pytest.approx(38, abs=4)
    with pytest.raises(KeyError):
        found.value("decay_time", "A")


def test_nothing_that_stands_out_has_no_decay() -> None:
    starts = np.array([10.0, 80.0, 150.0])
    assert fit_decay(starts, starts + 60, [Measured(0.1, 0.1, 50)] * 3) is None
