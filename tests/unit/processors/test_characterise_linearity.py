"""LINEARITY asks the camera's curve back, and the correction makes signals straight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.linearity import LINEARITY, LinearityOptions, fit_linearity
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from processors.readout_schema import Linearity
from tests.unit.processors.bench_camera import BenchCamera, known, save

RATE_E_S = 8000.0
TIMES = np.array([0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13.0])
SECOND, THIRD = -8e-7, -4e-12  # of the curve: measured = true + SECOND true² + THIRD true³, ADU


def bent(true: Any) -> Any:
    return true + SECOND * true**2 + THIRD * true**3


def run(tmp_path: Path, seed: int, options: Any = None, **more: Any) -> Characterisation:
    rng = np.random.default_rng(seed)
    bench, instruments = BenchCamera(rng, curve=bent, drift_adu=0.5), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(3)]
    drift, late = more.get("drift", 0.0), more.get("late_s", 0.0)
    times = more.get("times", TIMES)
    for number, time in enumerate(times):
        lamp = rng.normal(1, 0.0005) * (1 + drift * number / len(times))
        raw = bench.raw(RATE_E_S * (time + late) * lamp)
        made.append(save(tmp_path, raw, instruments, number + 3, "flat", EXPTIME=float(time), FILTER="g"))
    return characterise(LINEARITY, made, options)[0]


@pytest.mark.parametrize("seed", range(20))
def test_curve_comes_back_and_the_polynomial_mends_it(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed)
    for name, gain in (("A", 2.0), ("B", 3.0)):
        top = found.value("linear_to", name).value
        assert top == pytest.approx(bent(13 * RATE_E_S / gain), rel=0.003)
        truth = 100 * (bent(13 * RATE_E_S / gain) / (13 * RATE_E_S / gain) - 1)
        measured = found.value("max_deviation", name)
        assert measured.value == pytest.approx(truth, abs=0.25)
        assert found.value("rate", name).value == pytest.approx(RATE_E_S / gain, rel=0.003)
        table = next(table for table in found.tables if table.amplifier == name)
        polynomial = tuple(row[1] for row in table.rows)
        # what an instrument file takes
        assert Linearity(polynomial=polynomial).polynomial == polynomial
        true = np.linspace(2000, 13 * RATE_E_S / gain, 30)
        mended = np.polynomial.polynomial.polyval(bent(true), polynomial)
        assert np.abs(mended / true - 1).max() < 0.003
        assert found.value("residual_rms", name).value < 0.12
    assert found.flags == ()


def test_reference_frames_follow_a_lamp_that_fades(tmp_path: Path) -> None:
    times = np.column_stack([TIMES, np.full(TIMES.size, 3.3)]).ravel()
    rng_free = run(tmp_path, 1, LinearityOptions(reference_s=3.3), times=times, drift=-0.05)
    fooled = run(tmp_path, 1, times=times, drift=-0.05)
    truth = 100 * (bent(13 * RATE_E_S / 2) / (13 * RATE_E_S / 2) - 1)
    assert rng_free.value("max_deviation", "A").value == pytest.approx(truth, abs=0.4)
    assert abs(fooled.value("max_deviation", "A").value - truth) > 1.0


def test_shutter_delay_comes_back(tmp_path: Path) -> None:
    found = run(tmp_path, 4, LinearityOptions(shutter=True), late_s=0.05)
    shutter = found.value("shutter", "A")
    assert shutter.value == pytest.approx(0.05, abs=0.003)
    assert abs(shutter.value - 0.05) < 5 * shutter.error


def test_saturated_levels_are_not_fitted_and_too_few_are_poor(tmp_path: Path) -> None:
    found = run(tmp_path, 2, times=np.append(TIMES, [17.0, 20.0]))
    figure = next(figure for figure in found.figures if figure.name == "linearity_A")
    assert len(next(s for s in figure.series if s.label == "not fitted").x) == 2
    few = run(tmp_path, 2, times=np.array([1.0, 2.0]))
    assert few.flags == ("MISSDATA",)
    same = run(tmp_path, 2, times=np.array([1.0, 1.0, 1.0, 2.0, 2.0]))
    assert same.flags == ("POORQUALDATA",)
    assert "2 exposure times for a polynomial of order 3" in same.messages[0]


def test_one_flicker_of_the_lamp_does_no_harm() -> None:
    times = np.linspace(1, 12, 12)
    signal = bent(4000 * times)
    signal[6] *= 0.9
    fit = fit_linearity(times, signal, signal * 1e-4, 3, np.ones(12, bool))
    assert fit.used.sum() == 11
    assert fit.rate.value == pytest.approx(4000, rel=1e-3)
    assert np.abs(fit.residual[fit.used]).max() < 1e-3
