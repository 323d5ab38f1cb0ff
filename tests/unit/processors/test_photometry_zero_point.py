"""Zero points, depths and pairs on the sky: the truth is asked back over 20 seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from processors.catalogue.catalogue import Catalogue
from processors.errors import BadCatalogue
from processors.photometry.background import measure_background
from processors.photometry.calibrate import calibrate
from processors.photometry.depth import measure_depth
from processors.photometry.growth import measure_growth, total_fluxes
from processors.photometry.matching import match_sky
from processors.photometry.sources import find_sources
from processors.photometry.zero_point import measure_zero_point
from tests.unit.processors import star_scene

SEEDS = range(20)


def stars(seed: int, number: int = 200, colour_term: float = 0.0) -> tuple[Any, Any, Any, Any]:
    """Flux, error, magnitude and colour for a zero point of 25.3 and 60 s; a tenth are variable or mistaken."""
    rng = np.random.default_rng(seed)
    flux = np.geomspace(2e3, 1e6, number)
    error = np.sqrt(flux + 5e3)
    colour = rng.normal(0.7, 0.3, number)
    magnitude = 25.3 - 2.5 * np.log10(flux / 60) + colour_term * (colour - 0.6) + rng.normal(0, 0.02, number)
    magnitude[rng.random(number) < 0.1] += rng.choice([-1, 1]) * rng.uniform(0.3, 2)
    return flux + rng.normal(0, error), error, magnitude, colour


@pytest.mark.parametrize("seed", SEEDS)
def test_zero_point_comes_back(seed: int) -> None:
    flux, error, magnitude, _ = stars(seed)
    found = measure_zero_point(flux, error, 60.0, magnitude)
    assert abs(found.value - 25.3) < 5 * found.error < 0.03
    assert found.scatter == pytest.approx(0.022, abs=0.012)
    assert 150 < found.number < found.matched <= 200


@pytest.mark.parametrize("seed", SEEDS)
def test_a_colour_term_comes_back(seed: int) -> None:
    flux, error, magnitude, colour = stars(seed, colour_term=0.08)
    found = measure_zero_point(flux, error, 60.0, magnitude, colour=colour, colour_pivot=0.6)
    assert abs(found.value - 25.3) < 5 * found.error < 0.03
    assert abs(found.colour_term - 0.08) < 5 * found.colour_error < 0.06
    assert found.scatter < 0.04


def test_too_few_stars_are_said() -> None:
    flux, error, magnitude, colour = stars(0, 8)
    nothing = np.full(8, np.nan)
    for found, reason in (
        (measure_zero_point(flux[:0], error[:0], 60.0, magnitude[:0]), "0 of 0 matched"),
        (measure_zero_point(flux, error, 60.0, nothing), "0 of 8 matched"),
        (measure_zero_point(nothing, error, 60.0, magnitude), "0 of 8 matched"),
        (measure_zero_point(flux, nothing, 60.0, magnitude), "0 of 8 matched"),
        (measure_zero_point(flux, error, 0.0, magnitude), "exposure time"),
        (measure_zero_point(flux, error, 60.0, magnitude, colour=np.ones(8)), "one colour"),
        (measure_zero_point(flux, error, 60.0, magnitude, colour=nothing), "0 of 8 matched"),
        (measure_zero_point(flux[:3], error[:3], 60.0, np.array([10.0, 20.0, 30.0])), "stars scatter by"),
    ):
        assert math.isnan(found.value)
        assert found.number == 0
        assert reason in found.reason
    assert colour.size == 8


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_are_each_others_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(359.9, 360.1, 60) % 360, rng.uniform(88.9, 89, 60) * rng.choice([-1, 1])
    other_ra, other_dec = ra + rng.normal(0, 30 / 3600, 60), dec + rng.normal(0, 1 / 3600, 60)
    ra[3], other_dec[5] = np.nan, np.inf
    pairs = match_sky(ra, dec, other_ra, other_dec, 2.0)
    good, other_good = np.isfinite(ra), np.isfinite(other_dec)
    first = SkyCoord(ra[good], dec[good], unit="deg")
    second = SkyCoord(other_ra[other_good], other_dec[other_good], unit="deg")
    apart = first[:, None].separation(second).arcsec
    expected = [(i, j) for i, j in enumerate(apart.argmin(axis=1)) if apart[:, j].argmin() == i and apart[i, j] <= 2]
    index, other = np.flatnonzero(good), np.flatnonzero(other_good)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(index[i], other[j]) for i, j in expected]
    assert pairs.separation_arcsec == pytest.approx([apart[i, j] for i, j in expected], abs=1e-6)


def sky_of(scene: star_scene.Scene) -> tuple[Any, Catalogue]:
    """A solution of 0.25 arcsec per pixel, and the catalogue of the scene with a zero point of 24.7 for 30 s."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, -30.0], [200.0, 200.0], [-0.25 / 3600, 0.25 / 3600]
    ra, dec = wcs.all_pix2world(scene.x, scene.y, 0)
    return wcs, Catalogue(ra, dec, {"r": 24.7 - 2.5 * np.log10(scene.flux / 30)})


@pytest.mark.parametrize("seed", SEEDS)
def test_an_image_is_calibrated(seed: int) -> None:
    scene = star_scene.make(seed, (512, 512), 30, fwhm=3.0, faintest=1e4)
    wcs, catalogue = sky_of(scene)
    background = measure_background(scene.sci)
    sources = find_sources(scene.sci, scene.var, background=background)
    # Kron ellipses hold 97 % of the light: 0.03 mag
    kron = calibrate(sources, wcs, catalogue, "r", 30.0)
    assert kron.value == pytest.approx(24.67, abs=0.015)
    growth = measure_growth(scene.sci, scene.var, None, background, sources)
    fluxes = total_fluxes(scene.sci, scene.var, None, background, sources, growth, 6.0)
    whole = calibrate(sources, wcs, catalogue, "r", 30.0, fluxes_e=(fluxes.flux_e, fluxes.error_e))
    assert whole.value == pytest.approx(24.7, abs=0.015)
    assert whole.scatter < 0.03


def test_a_catalogue_of_another_field_is_said() -> None:
    scene = star_scene.make(1)
    wcs, catalogue = sky_of(scene)
    sources = find_sources(scene.sci, scene.var)
    far = calibrate(sources, wcs, Catalogue(catalogue.ra_deg + 1, catalogue.dec_deg, catalogue.magnitudes), "r", 30.0)
    assert far.number == 0
    assert "is within 1.5 arcsec" in far.reason
    none = calibrate(sources.take(np.zeros(len(sources), np.bool_)), wcs, catalogue, "r", 30.0)
    assert none.reason == "no sources"
    with pytest.raises(BadCatalogue, match="no magnitudes in band g; bands whose columns are known: r"):
        calibrate(sources, wcs, catalogue, "g", 30.0)


def test_depth_is_where_a_source_is_five_sigma_over_its_noise() -> None:
    depth = measure_depth(25.0, 100.0, 400.0, 21.0, 0.25, 2.0, share=0.9)
    pixels = math.pi * 4**2
    flux = 0.9 * 100 * 10 ** (-0.4 * (depth.limiting_mag - 25))
    assert flux / math.sqrt(flux + pixels * 21**2) == pytest.approx(5)
    assert depth.sky_mag_arcsec2 == pytest.approx(25 - 2.5 * math.log10(400 * 16 / 100))


def test_a_star_at_the_limit_has_five_sigma_on_average() -> None:
    rng = np.random.default_rng(1)
    depth = measure_depth(25.0, 1.0, 400.0, 20.0, 1.0, 8.0)
    flux = 10 ** (-0.4 * (depth.limiting_mag - 25))
    measured = rng.poisson(400 * 50.27 + flux, 20_000) - 400 * 50.27
    assert measured.mean() / measured.std() == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((math.nan, 100.0, 400.0, 21.0, 0.25, 2.0), "not known: zero point"),
        ((25.0, 0.0, 400.0, 21.0, 0.25, 2.0), "not above zero: exposure time"),
        ((25.0, 100.0, 400.0, 0.0, 0.25, 2.0), "not above zero: noise"),
        ((25.0, 100.0, math.nan, math.nan, 0.25, 2.0), "not known: sky, noise"),
        ((25.0, 100.0, -4.0, 21.0, 0.25, 2.0), "the sky is -4 e-"),
    ],
)
def test_depths_that_cannot_be_told(given: tuple[float, ...], reason: str) -> None:
    depth = measure_depth(*given)
    assert depth.reason == reason
    assert math.isnan(depth.sky_mag_arcsec2)
