"""Wavelengths from arcs: known dispersions asked back, doubtful ones refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processors.errors import BadInstrument, NoCalibration
from processors.spectra.arc import arc_spectrum, find_lines
from processors.spectra.fitting import Polynomial, fit_clipped
from processors.spectra.line_list import lamp_lines
from processors.spectra.peaks import background, centres, noise_of, peak_width
from processors.spectra.setup import SpectrographSetup
from processors.spectra.slit_image import slit_image
from processors.spectra.wavelength import WavelengthSolution, solve_wavelength
from tests.unit.processors.slit_scene import LAMPS, ROWS, Planes, SlitScene, saturate

SEEDS = range(20)
PIXELS = np.arange(ROWS, dtype=np.float64)


def solve(scene: SlitScene, arc: Planes, setup: SpectrographSetup) -> WavelengthSolution:
    middle = Polynomial((float(scene.trace.mean()),), ROWS)
    return solve_wavelength(slit_image(arc.sci, arc.var, arc.mask, setup), middle, setup)


def missed_px(scene: SlitScene, solution: WavelengthSolution) -> float:
    """The largest error between the first and the last line that was fitted."""
    low, high = solution.covered_a
    covered = (scene.wavelength_a > low) & (scene.wavelength_a < high)
    away = np.abs(solution.polynomial(PIXELS) - scene.wavelength_a) / abs(scene.dispersion_a_px)
    return float(away[covered].max())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rough_dispersion_becomes_a_solution_within_a_fifth_of_a_pixel(seed: int) -> None:
    scene = SlitScene(seed)
    solution = solve(scene, scene.arc(), scene.setup)
    assert missed_px(scene, solution) < 0.2
    assert solution.rms_a < 0.2 * abs(scene.dispersion_a_px)
    assert solution.place.size >= 8
    assert solution.fwhm_a == pytest.approx(scene.line_fwhm_px * abs(scene.dispersion_a_px), rel=0.15)


@pytest.mark.parametrize(
    "seed", [0, 14, pytest.param(7, marks=pytest.mark.slow), pytest.param(13, marks=pytest.mark.slow)]
)
def test_a_dispersion_is_found_blind(seed: int) -> None:
    scene = SlitScene(seed)
    solution = solve(scene, scene.arc(), replace(scene.setup, dispersion_a_px=None, centre_a=None))
    assert missed_px(scene, solution) < 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_of_another_lamp_give_no_solution(seed: int) -> None:
    scene = SlitScene(seed)
    strange = np.sort(scene.rng.uniform(3800, 7600, 25))
    with pytest.raises(NoCalibration, match="fit no solution"):
        solve(scene, scene.arc(strange), scene.setup)


def test_a_poor_solution_is_refused() -> None:
    scene = SlitScene(3)
    with pytest.raises(NoCalibration, match="rms is"):
        solve(scene, scene.arc(), replace(scene.setup, rms_limit_px=0.001))


def test_a_dark_arc_is_refused() -> None:
    scene = SlitScene(1)
    with pytest.raises(NoCalibration, match="is the lamp on"):
        solve(scene, scene.arc(level_e=0.0), scene.setup)


def test_an_arc_of_saturated_lines_is_refused_and_says_so() -> None:
    scene = SlitScene(2)
    arc = saturate(scene.arc(level_e=1e6), 60000)
    with pytest.raises(NoCalibration, match=r"\d+ saturated ones"):
        solve(scene, arc, scene.setup)


@pytest.mark.parametrize("seed", range(5))
def test_saturated_lines_are_left_out(seed: int) -> None:
    scene = SlitScene(seed)
    arc = scene.arc()
    level = float(np.sort(np.median(arc.sci, axis=1))[-6])
    solution = solve(scene, saturate(arc, level), scene.setup)
    assert solution.saturated >= 1
    assert missed_px(scene, solution) < 0.25


def test_an_unknown_lamp_is_named() -> None:
    with pytest.raises(BadInstrument, match="'Unobtainium'"):
        lamp_lines(["He", "Unobtainium"])


def test_the_line_lists_are_in_order_and_within_what_detectors_see() -> None:
    for ion in ("He", "Ne", "Ar", "Hg", "Cd", "Zn", "Kr", "Xe"):
        lines = lamp_lines([ion])
        assert (np.diff(lines.wavelength_a) > 0).all()
        assert lines.wavelength_a.min() > 3000
        assert lines.wavelength_a.max() < 11000
        assert (lines.strength > 0).all()


def test_a_blend_lies_between_its_lines_and_is_less_certain() -> None:
    lines = lamp_lines(["Ar"]).blended(10.0)
    near = np.argmin(np.abs(lines.wavelength_a - 7724.0))
    assert 7723.761 < lines.wavelength_a[near] < 7724.207
    assert 0.05 < lines.error_a[near] < 0.3
    assert (np.diff(lamp_lines(LAMPS).blended(20.0).wavelength_a) > 5).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_peak_is_centred_within_its_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.arange(200.0)
    true = np.array([40.0, 100.0, 160.0]) + rng.uniform(-0.5, 0.5, 3)
    light = 50 + sum(2000 * np.exp(-0.5 * ((pixels - place) / 1.7) ** 2) for place in true)
    signal = rng.poisson(light).astype(np.float64)
    above = signal - background(signal, 41)
    place, error = centres(above, signal, np.rint(true).astype(np.intp), 4.0)
    assert (np.abs(place - true) < 4.5 * error).all()
    assert (error < 0.06).all()
    assert peak_width(above, round(true[1]), 20) == pytest.approx(4.0, abs=0.4)
    assert noise_of(signal) < 30


def test_points_far_off_do_not_bend_a_polynomial() -> None:
    rng = np.random.default_rng(5)
    place = np.linspace(0, 99, 30)
    value = 3 + 0.1 * place + rng.normal(0, 0.01, 30)
    value[[4, 20]] += 5
    fit, kept = fit_clipped(place, value, np.full(30, 0.01), 100, 1)
    assert not kept[[4, 20]].any()
    assert kept.sum() >= 27
    assert fit(np.array([0.0, 99.0])) == pytest.approx([3, 12.9], abs=0.02)
    assert fit.slope(np.array([50.0])) == pytest.approx([0.1], abs=1e-3)


def test_a_saturated_column_of_the_arc_is_not_its_median() -> None:
    scene = SlitScene(4)
    arc = scene.arc()
    arc.mask[:, 70] = 1
    arc.sci[:, 70] = 1e6
    image = slit_image(arc.sci, arc.var, arc.mask, scene.setup)
    signal, _, saturated = arc_spectrum(image, Polynomial((70.0,), ROWS))
    assert signal.max() < 1e5
    assert not saturated.any()


def test_lines_are_found_where_they_were_drawn() -> None:
    scene = SlitScene(6)
    arc = scene.arc(np.array([5000.0, 5200.0, 5400.0, 5600.0, 5800.0, 6000.0]))
    image = slit_image(arc.sci, arc.var, arc.mask, scene.setup)
    lines = find_lines(*arc_spectrum(image, Polynomial((70.0,), ROWS)))
    order = np.argsort(scene.wavelength_a)
    true = np.interp([5000.0, 5200, 5400, 5600, 5800, 6000], scene.wavelength_a[order], PIXELS[order])
    nearest = np.abs(lines.place[:, None] - true).min(0)
    assert (nearest < 0.1).all()
    assert lines.fwhm_px == pytest.approx(scene.line_fwhm_px, abs=0.4)
