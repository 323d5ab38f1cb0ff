"""Projection, stars and light: our own short formulas against astropy and against integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from processors.simulator.projection import TanWcs, from_plane, to_plane
from processors.simulator.sky import BANDS, sky_rate, stellar_rate, zero_point
from processors.simulator.stars import FAINTEST, PER_SQUARE_DEGREE, SLOPE, Psf, add_stars, star_field
from tests.unit.simulator.conftest import Night


@pytest.mark.parametrize(("ra", "dec"), [(0.01, -30.0), (123.4, 65.0), (359.99, 0.0), (200.0, -89.5)])
def test_our_projection_is_that_of_astropy(ra: float, dec: float) -> None:
    from astropy.wcs import WCS

    ours = TanWcs((ra, dec), (590.3, -31.2), (-7.3e-5, 2e-7, 3e-7, 7.31e-5))
    theirs = WCS(naxis=2)
    theirs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    theirs.wcs.crval, theirs.wcs.crpix = ours.crval, ours.crpix
    theirs.wcs.cd = np.reshape(ours.cd, (2, 2))
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-2000, 4000, (2, 500))
    sky = ours.to_sky(x, y)
    want = theirs.all_pix2world(x, y, 1)
    apart = np.hypot((sky[0] - want[0] + 180) % 360 - 180, sky[1] - want[1]) * np.array([1.0])
    assert apart.max() < 1e-9
    back = ours.to_pixels(*sky)
    assert np.allclose(back, (x, y), atol=1e-6)
    assert np.allclose(back, theirs.all_world2pix(*sky, 1), atol=1e-6)


def test_the_plane_and_the_sphere_are_inverse() -> None:
    rng = np.random.default_rng(2)
    xi, eta = rng.uniform(-1, 1, (2, 100))
    assert np.allclose(to_plane(*from_plane(xi, eta, 12.0, -70.0), 12.0, -70.0), (xi, eta), atol=1e-12)


def test_headers_put_every_star_where_the_truth_says(night: Night) -> None:
    import fitsio
    from astropy.io import fits
    from astropy.wcs import WCS

    stars = fitsio.read(night.root / "truth" / "truth_stars.fits", ext="STARS")
    margin = night.camera.geometry.margin
    checked = 0
    for frame in night.of("science") + night.of("standard"):
        for detector in (1, 2):
            mine = stars[(stars["expid"] == frame.planned.expid) & (stars["detector"] == detector)]
            wcs = WCS(fits.getheader(frame.path, detector))
            x, y = wcs.all_world2pix(mine["ra"], mine["dec"], 1)
            assert np.allclose(x - margin, mine["x"], atol=1e-3)
            assert np.allclose(y, mine["y"], atol=1e-3)
            checked += len(mine)
    assert checked > 200


def test_the_standard_stands_in_the_middle_of_the_first_detector(night: Night) -> None:
    import fitsio

    stars = fitsio.read(night.root / "truth" / "truth_stars.fits", ext="STARS")
    for frame in night.of("standard"):
        assert frame.planned.target is not None
        mine = stars[(stars["expid"] == frame.planned.expid) & (stars["detector"] == 1)]
        apart = np.hypot(mine["ra"] - frame.planned.target.ra, mine["dec"] - frame.planned.target.dec)
        star = mine[np.argmin(apart)]
        assert (star["x"], star["y"]) == pytest.approx((128.5, 256.5), abs=2)


def test_a_star_has_its_flux_its_peak_and_its_width() -> None:
    image = np.zeros((301, 301), np.float32)
    psf = Psf(fwhm_px=4.0, e1=0.0, e2=0.0)
    add_stars(image, np.array([150.0]), np.array([150.0]), np.array([1e6]), psf)
    assert image.sum(dtype=np.float64) == pytest.approx(1e6, rel=2e-3)
    assert image[150, 150] == pytest.approx(1e6 * psf.peak, rel=1e-6)
    assert image[150, 152] == pytest.approx(image[150, 150] / 2, rel=1e-3)


def test_an_elongated_star_keeps_its_flux_and_shows_its_ellipticity() -> None:
    image = np.zeros((301, 301), np.float32)
    add_stars(image, np.array([150.0]), np.array([150.0]), np.array([1e6]), Psf(5.0, 0.1, 0.0))
    assert image.sum(dtype=np.float64) == pytest.approx(1e6, rel=3e-3)
    assert image[150, 153] > 1.2 * image[153, 150]


def test_stars_beyond_the_edge_only_lend_their_wings() -> None:
    image = np.zeros((50, 60), np.float32)
    add_stars(image, np.array([-5.0, 500.0]), np.array([25.0, 25.0]), np.array([1e5, 1e5]), Psf(3.0, 0, 0))
    assert 0 < image.sum() < 1e4
    assert image[25, 0] == image.max()


def test_counts_of_stars_follow_the_power_law() -> None:
    field = star_field(1, 1, 50.0, -20.0, 0.5, None)
    red = field.magnitude("r")
    assert len(red) == pytest.approx(PER_SQUARE_DEGREE, rel=0.02)
    for magnitude in (18.0, 20.0, 22.0):
        expected = PER_SQUARE_DEGREE * 10 ** (SLOPE * (magnitude - FAINTEST))
        assert (red < magnitude).sum() == pytest.approx(expected, abs=5 * math.sqrt(expected) + 0.01 * expected)


def test_the_sky_brightens_and_stars_fade_with_the_airmass() -> None:
    for band in BANDS:
        assert sky_rate(band, 1.8) > sky_rate(band, 1.0) > 0
        assert zero_point(band, 2.0, 1.0) == pytest.approx(zero_point(band, 1.0, 1.0) - BANDS[band].extinction)
    assert zero_point("r", 1.0, 0.9) < zero_point("r", 1.0, 1.0)
    assert stellar_rate(20.0, 25.0) == pytest.approx(100.0)
