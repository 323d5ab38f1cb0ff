"""Photometry of real frames, against SExtractor's catalogue, published figures and an independent fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.optimize import curve_fit

from processors.catalogue.catalogue import Catalogue
from processors.check_frame import open_frame
from processors.instrument import load_instruments
from processors.masters.build import build_master
from processors.photometry.background import measure_background
from processors.photometry.calibrate import calibrate
from processors.photometry.kron import circle_fluxes
from processors.photometry.quick import quick_look
from processors.photometry.seeing import measure_seeing
from processors.photometry.sources import Sources, find_sources
from processors.photometry.stars import select_stars
from processors.reduction.frame import reduce_frame


def native(plane: Any, dtype: Any) -> Any:
    return np.ascontiguousarray(plane, dtype=dtype)


class TestEmmi:
    """NTT/EMMI with the catalogue, background and noise that SExtractor 2.5 made of it, without deblending."""

    @pytest.fixture
    def planes(self, shared_data: Path) -> dict[str, Any]:
        folder = shared_data / "stars/sep_emmi"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header of 1992
            planes = {name: native(fits.getdata(folder / f"{name}.fits"), "f4") for name in ("image", "back", "rms")}
        return planes | {"catalogue": np.loadtxt(folder / "image.cat")}

    def test_background_agrees(self, planes: dict[str, Any]) -> None:
        sky = measure_background(planes["image"])
        assert sky.level_map == pytest.approx(planes["back"], rel=1e-3)
        assert sky.sigma_map == pytest.approx(planes["rms"], rel=2e-3)

    def test_catalogue_agrees(self, planes: dict[str, Any]) -> None:
        theirs = planes["catalogue"]
        image = planes["image"]
        ours = find_sources(image, native(planes["rms"] ** 2, "f4"))
        x, y, flux, error = theirs[:, 3] - 1, theirs[:, 4] - 1, theirs[:, 15], theirs[:, 16]
        bright = (flux > 20 * error) & (theirs[:, -1] == 0)
        apart = np.hypot(ours.x - x[bright][:, None], ours.y - y[bright][:, None])
        nearest = apart.argmin(axis=1)
        near = (apart.min(axis=1) < 0.5) & (ours.flags[nearest] == 0)
        assert bright.sum() >= 15
        assert near.mean() > 0.75
        ratio = ours.flux_e[nearest][near] / flux[bright][near]
        assert np.median(ratio) == pytest.approx(1, abs=0.005)
        # our ellipses are never smaller than 3.5 rms, as SExtractor's by default; in this catalogue they could be
        assert np.quantile(np.abs(ratio - 1), 0.8) < 0.03
        assert len(ours) == pytest.approx(len(theirs), rel=0.1)


class TestDecam:
    """The legacypipe project's cut-out of a DECam r exposure; the whole CCD has FWHM 4.02 px, zero point 25.168 (ADU).

    Three clean stars are in it, two in the halo of a galaxy.
    """

    GAIN = 3.7155  # e-/ADU, mean of the header's two

    @pytest.fixture
    def image(self, shared_data: Path) -> tuple[Any, Any, WCS, Catalogue]:
        folder = shared_data / "stars/legacypipe_testcase8"
        with fits.open(folder / "c4d_171113_060340_ooi_r_ls9.N6.fits") as hdus:
            sci = native(hdus[1].data, "f4") * np.float32(self.GAIN)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wcs = WCS(hdus[1].header)
        gaia = np.concatenate([fits.getdata(path) for path in sorted(folder.glob("chunk-*.fits"))])
        colour = (gaia["phot_bp_mean_mag"] - gaia["phot_rp_mean_mag"]).astype(np.float64)
        # DECam r of Gaia DR2 stars: the polynomial of the same survey
        terms = (0.10533, -0.22975, 0.06257, -0.24142, 0.24441, -0.07248, 0.00676)
        red = gaia["phot_g_mean_mag"] + sum(term * colour**power for power, term in enumerate(terms))
        return sci, sci, wcs, Catalogue(gaia["ra"].astype("f8"), gaia["dec"].astype("f8"), {"r": red.astype("f8")})

    @staticmethod
    def clean(sources: Sources) -> Any:
        return (sources.flux_e > 5e4) & (sources.flux_e > 50 * sources.flux_error_e) & (sources.fwhm_px < 4.5)

    def test_width(self, image: tuple[Any, Any, WCS, Catalogue]) -> None:
        sci, var, _, _ = image
        sources = find_sources(sci, var)
        stars = sources.take(self.clean(sources))
        assert len(stars) == 3
        assert stars.fwhm_px == pytest.approx(np.full(3, 4.02), rel=0.08)
        assert measure_seeing(sources).number == 0  # three are too few to say so

    def test_zero_point(self, image: tuple[Any, Any, WCS, Catalogue]) -> None:
        sci, var, wcs, catalogue = image
        sky = measure_background(sci)
        sources = find_sources(sci, var, background=sky)
        stars = self.clean(sources)
        near = circle_fluxes(sci - sky.level_map, var, None, sources.x, sources.y, 6.0)
        given = (near.flux_e / self.GAIN, near.error_e / self.GAIN)
        found = calibrate(sources, wcs, catalogue, "r", 45.0, fluxes_e=given, chosen=stars)
        assert found.number == 3
        assert found.value == pytest.approx(25.168, abs=0.1)
        # the star outside the halo, with all its light in 7 arcsec
        whole = circle_fluxes(sci - sky.level_map, var, None, sources.x, sources.y, 3.5 / 0.262)
        lonely = np.flatnonzero(stars & (sources.y > 300))[0]
        ra, dec = wcs.all_pix2world(sources.x[lonely], sources.y[lonely], 0)
        same = np.argmin(np.hypot((catalogue.ra_deg - ra) * np.cos(np.radians(dec)), catalogue.dec_deg - dec))
        value = catalogue.magnitudes["r"][same] + 2.5 * np.log10(whole.flux_e[lonely] / self.GAIN / 45)
        assert value == pytest.approx(25.168, abs=0.03)


def moffat_width(stamp: Any) -> float:
    """Full width at half maximum of a Moffat profile that is fitted to a star."""
    half = stamp.shape[0] // 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]

    def profile(_: Any, peak: float, x: float, y: float, alpha: float, beta: float, level: float) -> Any:
        return (peak * (1 + ((columns - x) ** 2 + (rows - y) ** 2) / alpha**2) ** -beta + level).ravel()

    first = (stamp.max(), 0, 0, 4, 3.5, 0)
    (_, _, _, alpha, beta, _), _ = curve_fit(profile, 0, stamp.ravel(), first, maxfev=5000)
    return float(2 * abs(alpha) * np.sqrt(2 ** (1 / beta) - 1))


class TestEfosc:
    """NTT/EFOSC2, three g images of 180 s; the telescope's DIMM gave 1.19, 0.99 and 0.95 arcsec as they began."""

    @pytest.fixture
    def images(self, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
        known, output = load_instruments(), tmp_path_factory.mktemp("efosc")
        frames = [open_frame(path, known) for path in sorted((shared_data / "raw/efosc2_ntt").iterdir())]
        bias = build_master("bias", [f for f in frames if f.identity.obstype == "bias"], output / "bias.fits")
        images = []
        for frame in (f for f in frames if f.identity.obstype == "science" and f.identity.filter == "g"):
            with fits.open(reduce_frame(frame, output / frame.path.name, bias).path) as hdus:
                planes = {name: native(hdus[f"40-{name.upper()}"].data, dtype)
                          for name, dtype in (("sci", "f4"), ("var", "f4"), ("mask", "u2"))}  # fmt: skip
                images.append(planes | {"scale": hdus[0].header["PIXSCALE"]})
        return images

    def test_seeing_is_that_of_a_fit_and_near_the_dimm(self, images: list[dict[str, Any]]) -> None:
        assert len(images) == 3
        for planes, dimm in zip(images, (1.19, 0.99, 0.95), strict=True):
            sci, mask, scale = planes["sci"], planes["mask"], planes["scale"]
            sky = measure_background(sci, mask)
            sources = find_sources(sci, planes["var"], mask, sky)
            seeing, quick = measure_seeing(sources, scale), quick_look(sci, mask, scale).seeing
            stars = sources.take(select_stars(sources).chosen)
            widths = []
            for x, y in zip(np.rint(stars.x).astype(int), np.rint(stars.y).astype(int), strict=True):
                stamp = (sci - sky.level_map)[y - 8 : y + 9, x - 8 : x + 9].astype(np.float64)
                if stamp.shape == (17, 17):
                    widths.append(moffat_width(stamp))
            assert len(widths) >= 6
            assert seeing.fwhm_px == pytest.approx(np.median(widths), rel=0.03)
            assert quick.fwhm_px == pytest.approx(seeing.fwhm_px, rel=0.03)
            assert seeing.fwhm_arcsec == pytest.approx(dimm, rel=0.15)
            assert seeing.ellipticity < 0.1
            assert quick.number >= 10
