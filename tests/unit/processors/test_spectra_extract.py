"""Spectra from the slit: known traces and fluxes asked back, through cosmic rays, and what cannot be is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processors.errors import BadFrame, BadInstrument, NoCalibration
from processors.planes import Mask
from processors.spectra.extract import SpectrumFlag
from processors.spectra.flat import pixel_flat
from processors.spectra.reduce_spectrum import Spectrum, reduce_spectrum
from processors.spectra.setup import ExtractionOptions, SpectrographSetup
from processors.spectra.sky import fit_sky
from processors.spectra.slit_image import slit_image
from processors.spectra.trace import find_traces
from tests.unit.processors.slit_scene import COLUMNS, READ_NOISE_E, ROWS, SKY_LINES, Planes, SlitScene, saturate

SEEDS = range(20)
PIXELS = np.arange(ROWS, dtype=np.float64)


def in_pixels(scene: SlitScene, science: Planes, number: int = 0) -> Spectrum:
    return reduce_spectrum(science, None, scene.setup, number=number)


@pytest.mark.parametrize("seed", SEEDS)
def test_flux_trace_and_wavelength_come_back(seed: int) -> None:
    scene = SlitScene(seed, shift_px=1.3)
    spectrum = reduce_spectrum(scene.science(), scene.arc(), scene.setup)
    made, solution = spectrum.extraction, spectrum.solution
    assert solution is not None
    assert spectrum.wavelength_a is not None
    # the trace within 0.1 pixels everywhere
    assert np.abs(spectrum.trace.position(PIXELS) - scene.trace).max() < 0.1
    assert spectrum.trace.fwhm_px == pytest.approx(scene.fwhm_px, rel=0.05)
    # fluxes within 0.5 %, and errors that say how wrong each pixel is
    for flux, var in ((made.flux_e, made.var_e2), (made.optimal_e, made.optimal_var_e2)):
        assert flux.sum() == pytest.approx(scene.object_e.sum(), rel=0.005)
        assert np.std((flux - scene.object_e) / np.sqrt(var)) == pytest.approx(1, abs=0.1)
    # wavelengths within a quarter of a pixel of the frame, though the arc was 1.3 pixels off
    low, high = solution.covered_a
    covered = (scene.wavelength_a > low) & (scene.wavelength_a < high)
    away = np.abs(spectrum.wavelength_a - scene.wavelength_a) / abs(scene.dispersion_a_px)
    assert away[covered].max() < 0.25
    assert spectrum.shift_px == pytest.approx(1.3, abs=0.12)
    assert {line.wavelength_a for line in spectrum.sky_lines} == {line for line, _ in SKY_LINES}
    outside = (made.flags & np.uint8(SpectrumFlag.EXTRAPOLATED)) != 0
    assert (outside == ((spectrum.wavelength_a < low) | (spectrum.wavelength_a > high))).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_cosmic_rays_on_the_object_are_taken_out(seed: int) -> None:
    scene = SlitScene(seed)
    spectrum = in_pixels(scene, scene.science(cosmics=60))
    made = spectrum.extraction
    assert 55 <= made.cosmics <= 110
    assert made.flux_e.sum() == pytest.approx(scene.object_e.sum(), rel=0.005)
    assert np.abs((made.flux_e - scene.object_e) / np.sqrt(made.var_e2)).max() < 6
    assert (made.flags & np.uint8(SpectrumFlag.REPAIRED)).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_faint_object_is_neither_brightened_nor_lost(seed: int) -> None:
    """Signal to noise of about 3 per pixel; the total is known to 2 %."""
    scene = SlitScene(seed, flux_e=150)
    made = in_pixels(scene, scene.science()).extraction
    assert made.flux_e.sum() == pytest.approx(scene.object_e.sum(), rel=0.05)
    assert made.optimal_e.sum() == pytest.approx(scene.object_e.sum(), rel=0.05)
    assert np.std((made.optimal_e - scene.object_e) / np.sqrt(made.optimal_var_e2)) == pytest.approx(1, abs=0.1)
    # that is what optimal extraction is for (Horne 1986)
    assert np.median(made.optimal_var_e2) < 0.85 * np.median(made.var_e2)


@pytest.mark.parametrize("seed", range(5))
def test_a_second_object_is_found_and_kept_out_of_the_sky(seed: int) -> None:
    scene = SlitScene(seed, second=0.3)
    science = scene.science()
    first, second = in_pixels(scene, science), in_pixels(scene, science, number=1)
    assert first.others == second.others == 1
    assert first.extraction.flux_e.sum() == pytest.approx(scene.object_e.sum(), rel=0.006)
    assert second.extraction.flux_e.sum() == pytest.approx(0.3 * scene.object_e.sum(), rel=0.015)
    with pytest.raises(BadFrame, match="no object 2"):
        in_pixels(scene, science, number=2)


def test_wavelength_may_run_along_the_columns() -> None:
    scene = SlitScene(8)
    science, arc = scene.science(), scene.arc()
    upright = reduce_spectrum(science, arc, scene.setup)
    turned = reduce_spectrum(science.turned(), arc.turned(), replace(scene.setup, dispersion_axis="x"))
    assert upright.wavelength_a is not None
    assert turned.wavelength_a is not None
    assert (upright.wavelength_a == turned.wavelength_a).all()
    assert (upright.extraction.flux_e == turned.extraction.flux_e).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_sky_is_what_it_was(seed: int) -> None:
    scene = SlitScene(seed)
    science = scene.science()
    image = slit_image(science.sci, science.var, science.mask, scene.setup)
    assert image.read_var == pytest.approx(READ_NOISE_E**2, rel=0.15)
    trace = find_traces(image, ExtractionOptions())[0]
    sky = fit_sky(image, trace, (), ExtractionOptions())
    level = sky.model(np.zeros((ROWS, 1)))[:, 0]
    error = np.sqrt(sky.var_of_sum(np.zeros((ROWS, 1)), np.ones((ROWS, 1))))
    places, strengths = (np.array(column) for column in zip(*SKY_LINES, strict=True))
    lines = scene.lines(places, strengths)
    true = (scene.sky_e + lines) * (1 + 0.1 * (scene.trace / COLUMNS - 0.5))
    assert np.std((level - true) / error) == pytest.approx(1, abs=0.15)


def test_bad_pixels_in_the_aperture_are_filled_in_and_flagged() -> None:
    scene = SlitScene(9)
    science = scene.science()
    before = in_pixels(scene, science).extraction
    centre = round(float(scene.trace[200]))
    science.mask[200, centre] = np.uint16(Mask.BAD)
    science.sci[200, centre] = np.nan
    science.mask[300, :] = np.uint16(Mask.BAD)
    made = in_pixels(scene, science).extraction
    assert abs(made.flux_e[200] - scene.object_e[200]) < 5 * np.sqrt(made.var_e2[200])
    assert made.var_e2[200] > 1.05 * before.var_e2[200]
    assert made.flags[200] == SpectrumFlag.REPAIRED
    assert made.flags[300] == SpectrumFlag.NO_DATA
    assert made.flux_e[300] == made.var_e2[300] == made.optimal_e[300] == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_is_filled_in_has_the_error_that_it_says(seed: int) -> None:
    scene = SlitScene(seed)
    science = scene.science()
    columns = np.rint(scene.trace).astype(int) + scene.rng.integers(-2, 3, ROWS)
    science.mask[np.arange(ROWS), columns] = np.uint16(Mask.BAD)
    made = in_pixels(scene, science).extraction
    # the error of the profile itself, which has a hole in every row here, does not count
    assert np.std((made.flux_e - scene.object_e) / np.sqrt(made.var_e2)) == pytest.approx(1.08, abs=0.12)
    assert made.flux_e.sum() == pytest.approx(scene.object_e.sum(), rel=0.007)


def test_a_saturated_object_is_flagged() -> None:
    scene = SlitScene(10)
    level = 0.9 * scene.flux_e * 0.23
    made = in_pixels(scene, saturate(scene.science(), level)).extraction
    assert ((made.flags & np.uint8(SpectrumFlag.SATURATED)) != 0).sum() > 50


def test_an_empty_slit_is_no_spectrum() -> None:
    for seed in SEEDS:
        scene = SlitScene(seed, flux_e=0.0)
        with pytest.raises(BadFrame, match="no object on the slit"):
            in_pixels(scene, scene.science(cosmics=20))


def test_nan_is_no_spectrum_unless_it_is_masked() -> None:
    scene = SlitScene(11)
    for plane in ("sci", "var"):
        science = scene.science()
        getattr(science, plane)[17, 5] = np.nan
        with pytest.raises(BadFrame, match="1 pixels are NaN or without variance, the first at 17, 5"):
            in_pixels(scene, science)
    science = scene.science()
    science.var[0, 0] = 0
    with pytest.raises(BadFrame, match="without variance"):
        in_pixels(scene, science)


def test_planes_that_do_not_fit_are_named() -> None:
    scene = SlitScene(12)
    science, arc = scene.science(), scene.arc()
    with pytest.raises(BadFrame, match="planes of shapes"):
        in_pixels(scene, Planes(science.sci, science.var[:-1], science.mask))
    with pytest.raises(BadFrame, match="the arc has"):
        reduce_spectrum(science, Planes(arc.sci[:-9], arc.var[:-9], arc.mask[:-9]), scene.setup)
    with pytest.raises(BadFrame, match="are good"):
        in_pixels(scene, Planes(science.sci, science.var, np.ones_like(science.mask)))
    with pytest.raises(BadFrame, match="the slit's pixels"):
        reduce_spectrum(science, None, replace(scene.setup, slit=(10, 999)))


def test_an_object_without_sky_beside_it_is_named() -> None:
    scene = SlitScene(13)
    middle = round(float(scene.trace.mean()))
    with pytest.raises(BadFrame, match="of sky beside the object"):
        reduce_spectrum(scene.science(), None, replace(scene.setup, slit=(middle - 13, middle + 13)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"dispersion_a_px": 0.0},
        {"dispersion_a_px": float("nan")},
        {"blind_range_a_px": (3.0, 1.0)},
        {"dispersion_tolerance": 1.5},
        {"lamps": ()},
        {"order": 9},
    ],
)
def test_impossible_setups_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInstrument):
        replace(SpectrographSetup("y", ("He",)), **wrong)  # type: ignore[arg-type]


def test_a_lamp_flat_keeps_the_response_and_loses_the_lamp() -> None:
    rng = np.random.default_rng(3)
    response = 1 + rng.normal(0, 0.02, (ROWS, COLUMNS))
    lamp = 20000 * np.exp(-np.linspace(0, 3, ROWS))
    lit = np.ones(COLUMNS)
    lit[:10], lit[-5:] = 0.02, 0.05
    flat = (lamp[:, None] * response * lit).astype(np.float32)
    made = pixel_flat(flat, SpectrographSetup("y", ("He",)))
    assert made.dtype == np.float32
    assert np.std(made[20:-20, 10:-5] / response[20:-20, 10:-5]) < 0.01
    assert (made[:, :10] == 0).all()
    assert (made[:, -5:] == 0).all()
    with pytest.raises(NoCalibration, match="no light"):
        pixel_flat(np.zeros((ROWS, COLUMNS), np.float32), SpectrographSetup("y", ("He",)))
