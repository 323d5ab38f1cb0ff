"""PTC asks gain, read noise, full well and brighter-fatter coefficients back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.covariance_model import covariance_model, fit_covariances
from processors.characterise.pairs import covariances_of
from processors.characterise.ptc import PTC, PtcOptions
from processors.characterise.ptc_curve import curve, fit_curve
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from processors.ptc import Measured
from tests.unit.processors.bench_camera import HALF, ROWS, BenchCamera, known, save

GAINS, NOISES_E, FULL_WELL = (2.0, 3.0), (6.0, 7.0), 90_000.0
LEVELS = np.array([1e3, 3e3, 6e3, 1e4, 2e4, 3e4, 4e4, 5e4, 6e4, 7e4, 8e4, 8.6e4, 9.5e4, 1.05e5])


def run(tmp_path: Path, seed: int, biases: int = 4, levels: Any = LEVELS, options: Any = None) -> Characterisation:
    rng = np.random.default_rng(seed)
    response = 1 + np.random.default_rng(seed + 99).normal(0, 0.01, (ROWS, 2 * HALF))
    bench = BenchCamera(rng, noises_e=NOISES_E, full_well_e=FULL_WELL, response=response, drift_adu=0.5)
    instruments = known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(biases)]
    for number, level in enumerate(np.repeat(levels, 2)):
        lamp = level * rng.normal(1, 0.003)
        raw = bench.raw(lamp)
        cards = {"EXPTIME": float(level) / 1e4, "FILTER": "g"}
        made.append(save(tmp_path, raw, instruments, biases + number, "flat", **cards))
    return characterise(PTC, made, options)[0]


@pytest.mark.parametrize("seed", range(20))
def test_gain_noise_and_full_well_come_back(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed)
    for name, gain, noise in zip("AB", GAINS, NOISES_E, strict=True):
        measured = found.value("gain", name)
        assert measured.value == pytest.approx(gain, rel=0.01)
        assert abs(measured.value - gain) < 4.5 * measured.error
        expected = math.hypot(noise, gain / math.sqrt(12))
        assert found.value("read_noise", name).value == pytest.approx(expected, rel=0.03)
        well = found.value("full_well", name)
        assert 86_000 < well.value < 95_500
        assert abs(found.value("a00", name).value) < 5 * found.value("a00", name).error
    assert found.flags == ()


def test_a_ladder_that_does_not_turn_over_gives_a_lower_limit_and_biases_are_not_needed(tmp_path: Path) -> None:
    found = run(tmp_path, 3, biases=0, levels=np.array([100.0, 1e3, 4e3, 8e3, 1.6e4, 3e4]))
    assert found.value("gain", "A").value == pytest.approx(2.0, rel=0.02)
    assert found.value("read_noise", "A").value == pytest.approx(6.0, rel=0.1)
    assert found.value("full_well", "A").value == pytest.approx(3e4, rel=0.02)
    assert "lower limit" in found.value("full_well", "A").message
    assert found.messages == ("no biases: bias structure is not subtracted, read noise is fitted",)


def test_one_pair_is_enough_for_a_gain(tmp_path: Path) -> None:
    found = run(tmp_path, 6, levels=np.array([2e4]))
    assert found.value("gain", "B").value == pytest.approx(3.0, rel=0.03)
    with pytest.raises(KeyError):
        found.value("a00", "A")


def test_levels_that_are_not_alike_are_said(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(2)]
    for number, level in enumerate((1e4, 1e4, 1e4, 4e4), 2):
        made.append(save(tmp_path, bench.raw(level), instruments, number, "skyflat", EXPTIME=float(number)))
    found = characterise(PTC, made)[0]
    assert [Path(use.file).name for use in found.frames if use.reason] == ["skyflat004.fits", "skyflat005.fits"]
    assert found.value("gain", "A").number == 1


@pytest.mark.parametrize("seed", range(20))
def test_curve_finds_brighter_fatter_in_spite_of_a_bad_pair_and_the_turn_over(seed: int) -> None:
    rng = np.random.default_rng(seed)
    means = np.linspace(500, 48_000, 25)
    truth = curve(means, 1.7, -2.5e-6, 16.0)
    truth[means > 44_500] *= [0.5, 0.1]
    errors = 0.004 * truth + 0.1
    variances = rng.normal(truth, errors)
    variances[12] *= 0.6  # the lamp failed
    order = rng.permutation(means.size)
    fit = fit_curve(means[order], variances[order], errors[order], Measured(4.0, 0.02, 5))
    assert fit.gain.value == pytest.approx(1.7, rel=0.01)
    assert fit.a00.value == pytest.approx(-2.5e-6, rel=0.15)
    assert fit.noise.value == pytest.approx(4.0, abs=0.1)
    assert 43_000 < fit.full_well.value < 47_000
    assert not fit.used[list(order).index(12)]


def test_curve_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="no point"):
        fit_curve([], [], [])
    with pytest.raises(ValueError, match="no point"):
        fit_curve([100.0, 200.0], [50.0, 100.0], [1.0, 1.0], high_adu=50)


def test_covariances_against_a_slow_sum() -> None:
    image = np.random.default_rng(0).normal(0, 10, (40, 30)).astype(np.float32)
    image[1:] += 0.3 * image[:-1]
    found = covariances_of(image, 3)
    centred = image - image.mean()
    for j in range(3):
        for i in range(3):
            pairs = [
                centred[y, x] * centred[y + j, x + side * i]
                for y in range(40 - j)
                for x in range(30)
                for side in ((1, -1) if i else (1,))
                if 0 <= x + side * i < 30
            ]
            assert found[j, i] == pytest.approx(np.mean(pairs), abs=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_covariance_fit_finds_what_the_model_was_given(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = np.array([[-3.0e-6, 4.0e-7, 5e-8], [8.0e-7, 1.5e-7, 3e-8], [1e-7, 5e-8, 1e-8]])
    noise = np.zeros((3, 3))
    noise[0, 0] = 25.0
    means = np.linspace(500, 50_000, 30)
    models = [covariance_model(mean, 1.5, a, np.zeros((3, 3)), noise) for mean in means]
    errors = [model[0, 0] / 4000 for model in models]
    scale = np.ones((3, 3))
    scale[0, 0] = math.sqrt(2)
    measured = [rng.normal(model, error * scale) for model, error in zip(models, errors, strict=True)]
    found = fit_covariances(means, measured, errors, 1.4, 20.0)
    assert found.gain.value == pytest.approx(1.5, rel=0.002)
    assert found.a[0, 0] == pytest.approx(a[0, 0], rel=0.02)
    assert found.a[1, 0] == pytest.approx(a[1, 0], rel=0.03)
    assert np.abs((found.a - a) / found.a_error).max() < 4.5
    assert 0.6 < found.chi2 < 1.5


def test_covariance_model_without_correlations_is_shot_and_read_noise() -> None:
    zero, noise = np.zeros((4, 4)), np.eye(1, 16).reshape(4, 4) * 36.0
    model = covariance_model(1000.0, 2.0, zero, zero, noise)
    assert model[0, 0] == pytest.approx(1000 / 2 + 36 / 4)
    assert np.abs(model).sum() == pytest.approx(model[0, 0])
    # to second order equation 20 is the development of equation 16 where a has no neighbours
    a = np.zeros((4, 4))
    a[0, 0] = -1e-6
    expected = float(curve(np.array([10_000.0]), 2.0, -1e-6, 9.0)[0])
    assert covariance_model(10_000.0, 2.0, a, zero, noise)[0, 0] == pytest.approx(expected, rel=1e-5)


def test_brighter_fatter_of_simulated_pixels(tmp_path: Path) -> None:
    """Charge that has arrived moves the borders of pixels: light falls by their areas (Astier's section 3)."""
    a00, a01, a10 = -2.4e-6, 4.0e-7, 8.0e-7
    rng = np.random.default_rng(1)
    bench, instruments = BenchCamera(rng, noises_e=NOISES_E), known(tmp_path)

    def flat(level: float, steps: int = 40) -> np.ndarray:
        charge = np.zeros((ROWS, 2 * HALF))
        for _ in range(steps):
            beside = np.roll(charge, 1, 1) + np.roll(charge, -1, 1)
            above = np.roll(charge, 1, 0) + np.roll(charge, -1, 0)
            charge += rng.poisson(level / steps * (1 + a00 * charge + a01 * beside + a10 * above))
        return charge

    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(3)]
    for number, level in enumerate(np.repeat(np.linspace(5e3, 1e5, 12), 2), 3):
        raw = _exposed(bench, flat(float(level)))
        made.append(save(tmp_path, raw, instruments, number, "flat", EXPTIME=round(level / 1e3, 3)))
    found = characterise(PTC, made, PtcOptions(covariances=True, lags=3))[0]
    for name, gain in zip("AB", GAINS, strict=True):
        assert found.value("gain_covariances", name).value == pytest.approx(gain, rel=0.01)
        assert found.value("a00_covariances", name).value == pytest.approx(a00, rel=0.15)
        assert found.value("a01", name).value == pytest.approx(a01, abs=1.5e-7)
        assert found.value("a10", name).value == pytest.approx(a10, abs=1.5e-7)
        assert abs(found.value("a_sum", name).value) < 5 * found.value("a_sum", name).error
    assert {table.name for table in found.tables} == {"covariances", "brighter_fatter_kernel"}


def _exposed(bench: BenchCamera, charge: np.ndarray) -> np.ndarray:
    """A frame of charge that has its noise already."""
    quiet = BenchCamera(bench.rng, noises_e=bench.noises_e)

    class Given:
        def poisson(self, expected: np.ndarray) -> np.ndarray:
            return charge

        def __getattr__(self, name: str) -> Any:
            return getattr(bench.rng, name)

    quiet.rng = Given()  # type: ignore[assignment]
    return quiet.raw(0.0)
