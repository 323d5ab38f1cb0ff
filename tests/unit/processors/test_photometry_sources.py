"""The simulator's stars are asked back: number, positions, fluxes, seeing, sky and curve of growth, over 20 seeds."""

from __future__ import annotations

import numpy as np
import pytest

from processors.errors import BadFrame
from processors.photometry.background import measure_background
from processors.photometry.flags import SourceFlag
from processors.photometry.growth import measure_growth, total_fluxes
from processors.photometry.quick import quick_look
from processors.photometry.seeing import measure_seeing
from processors.photometry.sources import find_sources
from processors.photometry.stars import select_stars
from processors.planes import Mask
from tests.unit.processors import star_scene

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_positions_and_fluxes_come_back(seed: int) -> None:
    scene = star_scene.make(seed)
    sources = find_sources(scene.sci, scene.var)
    true, found = star_scene.pairs(scene, sources.x, sources.y)
    assert true.size == scene.alone.sum() > 3
    # a centre is good to about FWHM / (2.355 S/N), and 0.02 px at best
    snr = scene.flux[true] / sources.flux_error_e[found]
    limit = 5 * (0.02 + 1.5 / snr)
    assert np.all(np.hypot(sources.x[found] - scene.x[true], sources.y[found] - scene.y[true]) < limit)
    # a Kron ellipse holds 97 ± 2 % of a Moffat star's light
    ratio = sources.flux_e[found] / scene.flux[true]
    assert np.median(ratio) == pytest.approx(0.97, abs=0.02)
    assert np.all(np.abs(ratio - 0.97) < 0.03 + 5 / snr)


def test_errors_are_those_that_are_made() -> None:
    pulls: list[float] = []
    for seed in SEEDS:
        scene = star_scene.make(seed, stars=15, brightest=2e4)
        sources = find_sources(scene.sci, scene.var)
        true, found = star_scene.pairs(scene, sources.x, sources.y)
        pulls += list((sources.flux_e[found] / 0.96 - scene.flux[true]) / sources.flux_error_e[found])
    assert len(pulls) > 100
    assert 1.4826 * np.median(np.abs(pulls)) == pytest.approx(1.0, abs=0.35)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("fwhm", "e1", "e2"), [(2.5, 0.0, 0.0), (3.5, 0.08, 0.06), (5.0, -0.05, 0.0)])
def test_seeing_comes_back(seed: int, fwhm: float, e1: float, e2: float) -> None:
    scene = star_scene.make(seed, fwhm=fwhm, e1=e1, e2=e2)
    e = np.hypot(e1, e2)
    for seeing in (measure_seeing(find_sources(scene.sci, scene.var), 0.25), quick_look(scene.sci, None, 0.25).seeing):
        assert seeing.number >= 10
        assert seeing.fwhm_px == pytest.approx(fwhm, rel=0.03)
        assert seeing.fwhm_arcsec == pytest.approx(0.25 * seeing.fwhm_px)
        assert seeing.scatter_px < 0.06 * fwhm
        assert seeing.ellipticity == pytest.approx(2 * e / (1 + e), abs=0.02)
        if e > 0:
            away = seeing.angle_rad - 0.5 * np.arctan2(e2, e1)
            assert abs(np.remainder(away + np.pi / 2, np.pi) - np.pi / 2) < 0.06


@pytest.mark.parametrize("seed", SEEDS)
def test_sky_comes_back(seed: int) -> None:
    scene = star_scene.make(seed)
    noise = np.sqrt(star_scene.SKY + star_scene.READ_NOISE**2)
    background, sky = measure_background(scene.sci), quick_look(scene.sci).sky
    assert background.level_e == pytest.approx(star_scene.SKY, abs=0.03 * noise)
    assert background.sigma_e == pytest.approx(noise, rel=0.02)
    assert sky.level_e == pytest.approx(star_scene.SKY, abs=0.15 * noise)
    assert sky.sigma_e == pytest.approx(noise, rel=0.15)
    assert abs(sky.gradient_e) < noise


def test_a_gradient_of_the_sky_comes_back() -> None:
    scene = star_scene.make(1, (512, 512), 0)
    ramp = np.linspace(0, 50, 512, dtype=np.float32)
    sky = quick_look(scene.sci + ramp).sky
    assert sky.gradient_e == pytest.approx(50, abs=5)
    background = measure_background(scene.sci + ramp)
    assert np.median(background.level_map[:, 480]) == pytest.approx(star_scene.SKY + ramp[480], abs=2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_curve_of_growth_mends_what_an_aperture_misses(seed: int) -> None:
    scene = star_scene.make(seed, (512, 512), 25, fwhm=3.0, faintest=2e4)
    sky = measure_background(scene.sci)
    sources = find_sources(scene.sci, scene.var, background=sky)
    growth = measure_growth(scene.sci, scene.var, None, sky, sources)
    # of a Moffat profile with β = 3 the share 1 - (1 + r²/α²)^-2 lies within r
    alpha2 = (3.0 / 2) ** 2 / (2 ** (1 / 3) - 1)
    share = 1 - (1 + growth.radius_px**2 / alpha2) ** -2
    assert growth.number >= 5
    assert growth.share == pytest.approx(share / share[-1], abs=0.02)  # pixels are coarse for the smallest circle
    assert growth.share[3:] == pytest.approx(share[3:] / share[-1], abs=0.012)
    assert growth.correction(100.0) != growth.correction(100.0)
    fluxes = total_fluxes(scene.sci, scene.var, None, sky, sources, growth, 5.0)
    true, found = star_scene.pairs(scene, sources.x, sources.y)
    ratio = fluxes.flux_e[found] / scene.flux[true]
    assert np.median(ratio) == pytest.approx(share[-1], abs=0.015)


def test_galaxies_and_cosmic_rays_are_no_stars() -> None:
    wide = star_scene.make(3, stars=30, fwhm=7.0, faintest=2e4)
    scene = star_scene.make(4, stars=40, fwhm=3.5, faintest=1e4)
    sci = scene.sci + wide.sci - np.float32(star_scene.SKY)
    rng = np.random.default_rng(5)
    sci[rng.integers(5, 379, 60), rng.integers(5, 379, 60)] += 3000
    sources = find_sources(sci, scene.var + wide.var)
    seeing = measure_seeing(sources)
    assert seeing.fwhm_px == pytest.approx(3.5, rel=0.03)
    stars = sources.take(select_stars(sources).chosen)
    galaxies = np.hypot(stars.x[:, None] - wide.x, stars.y[:, None] - wide.y).min(axis=1) < 1
    assert galaxies.mean() < 0.1
    assert quick_look(sci).seeing.fwhm_px == pytest.approx(3.5, rel=0.04)


def test_masked_pixels_are_left_out_and_said() -> None:
    scene = star_scene.make(6)
    mask = np.zeros(scene.sci.shape, np.uint16)
    mask[:, 200:204] = Mask.BAD
    sci = scene.sci.copy()
    sci[:, 200:204] = np.nan
    sources = find_sources(sci, scene.var, mask)
    near = np.abs(sources.x - 201.5) < 3
    assert np.all(sources.flags[near] & SourceFlag.MASKED)
    assert np.isfinite(sources.flux_e).all()
    assert measure_seeing(sources).fwhm_px == pytest.approx(3.5, rel=0.03)


def test_planes_of_different_shapes_are_refused() -> None:
    scene = star_scene.make(0)
    with pytest.raises(BadFrame, match="its variance"):
        find_sources(scene.sci, scene.var[:-1])
    with pytest.raises(BadFrame, match="its mask"):
        find_sources(scene.sci, scene.var, np.zeros((3, 3), np.uint16))
