"""An amplifier that gives one number does not stop a characterisation, and is no good one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from processors.characterise.bias import BIAS
from processors.characterise.dark import DARK
from processors.characterise.flat import FLAT
from processors.characterise.least_squares import linear_fit
from processors.characterise.persistence import fit_decay
from processors.characterise.ptc import PTC
from processors.characterise.ptc_curve import fit_curve
from processors.characterise.run import characterise
from processors.fits import Frame
from processors.ptc import Measured
from tests.unit.processors.bench_camera import HALF, OVER, BenchCamera, known, save


@pytest.fixture(scope="module", params=[0, 1200, 65535])
def frames(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[Frame]:
    """A night of the bench camera whose amplifier B gives one number only."""
    folder: Path = tmp_path_factory.mktemp("dead")
    bench, instruments, made = BenchCamera(np.random.default_rng(1)), known(folder), []
    plan = [("bias", 0.0)] * 3 + [("dark", 10.0)] * 2 + [("dark", 20.0)]
    plan += [("flat", time) for time in (1.0, 2.0, 4.0, 8.0, 16.0) for _ in range(2)]
    for number, (obstype, time) in enumerate(plan):
        raw = bench.raw(2000 * time if obstype == "flat" else 0.0, time)
        raw[:, HALF + OVER :] = request.param
        made.append(save(folder, raw, instruments, number, obstype, EXPTIME=time, FILTER="g"))
    return made


def test_flat(frames: list[Frame]) -> None:
    found = characterise(FLAT, frames)[0]
    for name in ("stability", "prnu", "gradient_x", "gradient_y"):
        assert math.isnan(found.value(name, "B").value)
        assert found.value(name, "B").flag == "POORQUALDATA"
        assert math.isfinite(found.value(name, "A").value)
    assert math.isfinite(found.value("illumination").value)


def test_bias_and_dark(frames: list[Frame]) -> None:
    bias, dark = characterise(BIAS, frames)[0], characterise(DARK, frames)[0]
    assert math.isnan(bias.value("noise_correlation").value)
    assert "RON_OOL" in bias.flags
    assert bias.value("read_noise", "A").value == pytest.approx(6, rel=0.05)
    assert dark.value("dark_current", "B").value == pytest.approx(0, abs=1e-6)


def test_ptc(frames: list[Frame]) -> None:
    found = characterise(PTC, frames)[0]
    assert found.value("gain", "A").value == pytest.approx(2.0, rel=0.02)
    assert "POORQUALDATA" in found.flags
    assert all(quantity.amplifier != "B" for quantity in found.quantities)


def test_no_curve_without_photon_noise_or_from_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="does not grow"):
        fit_curve([100.0, 200.0, 300.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="does not grow"):
        fit_curve([100.0, 200.0, 300.0], [20.0, 20.0, 20.0], [1.0, 1.0, 1.0], Measured(5.0, 0.1, 3))
    for column in range(3):
        points = [[100.0, 200.0, 300.0], [50.0, 100.0, 150.0], [1.0, 1.0, 1.0]]
        points[column][1] = math.nan
        with pytest.raises(ValueError, match="not a number"):
            fit_curve(points[0], points[1], points[2])


def test_fits_of_points_without_errors() -> None:
    design = np.vander(np.arange(4.0), 2)
    assert linear_fit(design, 3 * np.arange(4.0) + 1, np.zeros(4)).coefficients == pytest.approx([3, 1])
    with pytest.raises(ValueError, match="not a number"):
        linear_fit(design, np.array([1, math.nan, 2, 3]), np.ones(4))
    starts, ends = np.array([0.0, 10, 20]), np.array([10.0, 20, 30])
    assert fit_decay(starts, ends, [Measured(10, 0, 1), Measured(5, 0, 1), Measured(2, 0, 1)]) is None
    assert fit_decay(starts, ends, [Measured(10, 1, 1), Measured(math.nan, 1, 1), Measured(2, 1, 1)]) is None
