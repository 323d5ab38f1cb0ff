"""Spectra on disk, against a standard, and what their signal to noise promises."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from processors.errors import BadFrame, NoCalibration
from processors.spectra.product import write_spectrum
from processors.spectra.reduce_spectrum import Spectrum, reduce_spectrum
from processors.spectra.signal_to_noise import bands, depth
from processors.spectra.standard import flux_ratio
from tests.unit.processors.slit_scene import ROWS, SlitScene

BAND = (5000.0, 6000.0)


def spectrum(seed: int, flux_e: float = 3000.0) -> Spectrum:
    scene = SlitScene(seed, flux_e=flux_e)
    scene.rng = np.random.default_rng((seed, int(flux_e)))  # two frames have noise of their own
    return reduce_spectrum(scene.science(), scene.arc(), scene.setup)


def test_a_product_is_a_table_with_sums_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    made = spectrum(1)
    ratio = flux_ratio(made, 600, spectrum(1, 30000), 15)
    cards = [("NFKIND", "spectrum", "kind of nightferry product"), ("OBJECT", "J0618", "")]
    for name in ("a.fits", "b.fits"):
        write_spectrum(tmp_path / name, cards, made, ratio)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:  # a wrong sum is a warning, and warnings are errors
        hdus.verify("exception")
        assert hdus[0].header["NFKIND"] == "spectrum"
        head = hdus["SPECTRUM"].header
        assert head["NFWLINES"] >= 8
        assert head["NFSKYN"] == 2
        assert head["NF SKY1"].startswith("OI 5577")
        assert head["FLAG1"] == "REPAIRED"
    table = Table.read(tmp_path / "a.fits", hdu="SPECTRUM")
    assert table.colnames == [
        "WAVE", "FLUX", "VAR", "BOXFLUX", "BOXVAR", "SKY", "SNR", "TRACE", "FLAGS", "RATIO", "RATIOVAR",
    ]  # fmt: skip
    assert str(table["WAVE"].unit) == "Angstrom"
    assert made.wavelength_a is not None
    assert np.array_equal(table["WAVE"], made.wavelength_a)
    assert np.array_equal(table["FLUX"], made.extraction.optimal_e.astype(np.float32))
    assert np.allclose(table["SNR"], table["FLUX"] / np.sqrt(table["VAR"]), rtol=1e-5)
    assert np.array_equal(table["FLAGS"], made.extraction.flags)


def test_without_an_arc_the_table_is_in_pixels(tmp_path: Path) -> None:
    scene = SlitScene(2)
    write_spectrum(tmp_path / "s.fits", [], reduce_spectrum(scene.science(), None, scene.setup))
    table = Table.read(tmp_path / "s.fits", hdu="SPECTRUM")
    assert np.array_equal(table["PIXEL"], np.arange(ROWS))
    assert "WAVE" not in table.colnames
    assert "NFWRMS" not in table.meta


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        write_spectrum(tmp_path / "s.fits", [("EXPTIME", math.nan, "")], spectrum(1))
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="there"):
        write_spectrum(tmp_path / "there", [], spectrum(1))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("seed", range(20))
def test_an_object_against_its_standard(seed: int) -> None:
    """An object of a twentieth of the standard's light, in 40 times the exposure; 2 % and 0.02 mag."""
    ratio = flux_ratio(spectrum(seed, 3000), 600, spectrum(seed, 1500), 15)
    assert ratio.known.mean() > 0.99
    assert np.median(ratio.ratio[ratio.known]) == pytest.approx(0.05, rel=0.02)
    assert ratio.fainter_mag() == pytest.approx(3.253, abs=0.02)
    pull = (ratio.ratio - 0.05)[ratio.known] / np.sqrt(ratio.var[ratio.known])
    assert np.std(pull) == pytest.approx(1, abs=0.15)


def test_a_ratio_needs_wavelengths_times_and_common_ground() -> None:
    made, scene = spectrum(3), SlitScene(3)
    bare = reduce_spectrum(scene.science(), None, scene.setup)
    with pytest.raises(NoCalibration, match="wavelengths of both"):
        flux_ratio(made, 600, bare, 15)
    for wrong in (0.0, math.nan, math.inf):
        with pytest.raises(BadFrame, match="exposure times"):
            flux_ratio(made, wrong, made, 15)
    assert made.wavelength_a is not None
    elsewhere = replace(made, wavelength_a=made.wavelength_a + 20000)
    ratio = flux_ratio(made, 600, elsewhere, 15)
    assert not ratio.known.any()
    assert (ratio.ratio == 0).all()
    with pytest.raises(NoCalibration, match="no light"):
        ratio.fainter_mag()


@pytest.mark.parametrize("seed", range(20))
def test_signal_to_noise_of_a_fainter_object_is_foretold(seed: int) -> None:
    """From an object of 18 mag to one of 20.5: within 12 % of what a frame of that object gives."""
    known = depth(spectrum(seed), 18.0, BAND)
    scene = SlitScene(seed, flux_e=300)
    made = reduce_spectrum(scene.science(), scene.arc(), scene.setup)
    measured = depth(made, 20.5, BAND)
    expected = known.signal_to_noise(np.array([20.5]))[0]
    assert measured.signal_to_noise(np.array([20.5]))[0] == pytest.approx(expected, rel=0.12)
    limit = known.limiting_magnitude(expected)
    assert limit == pytest.approx(20.5, abs=1e-9)
    # four times the time does not quite double it, or more than doubles it where read noise matters
    assert 1.9 < known.signal_to_noise(np.array([20.5]), 4.0)[0] / expected < 4


def test_signal_to_noise_against_wavelength() -> None:
    made = spectrum(4)
    found = bands(made)
    assert made.wavelength_a is not None
    assert sum(band.pixels for band in found) == ROWS
    assert all(later.low_a == band.high_a for band, later in pairwise(found))
    middle = next(band for band in found if band.low_a <= 5700 < band.high_a)
    assert middle.signal_to_noise == pytest.approx(3000 / math.sqrt(3000 + 12 * (60 + 25)), rel=0.15)


def test_depth_needs_light_and_a_magnitude() -> None:
    made, scene = spectrum(5), SlitScene(5)
    for magnitude, band in ((math.nan, BAND), (18.0, (100.0, 200.0))):
        with pytest.raises(BadFrame, match="no light of an object"):
            depth(made, magnitude, band)
    with pytest.raises(NoCalibration, match="no wavelengths"):
        bands(reduce_spectrum(scene.science(), None, scene.setup))
