"""A frame reduced: its detectors side by side, its place on the sky, what it says when that is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processors.catalogue.reference import Reference
from processors.check_frame import open_frame
from processors.fits import Frame
from processors.header import read_headers
from processors.instrument import load_instruments
from processors.reduction.frame import reduce_frame
from processors.reduction.inspect import Steps
from processors.simulator.night import simulate_night
from processors.simulator.options import NightOptions


@pytest.fixture(scope="module")
def exposure(tmp_path_factory: pytest.TempPathFactory) -> tuple[Frame, Path]:
    """A science frame of five detectors, and the truth."""
    place = tmp_path_factory.mktemp("exposure")
    options = NightOptions(
        seed=11, detectors=5, width=256, height=192, biases=0, darks=0, flats=0, standards=0, dithers=1, targets=1,
        filters=("r",), hk=False,
    )  # fmt: skip
    (made,) = simulate_night(place / "night", options, truth=place / "truth")
    return open_frame(made.path, load_instruments()), place / "truth" / "truth_stars.fits"


@pytest.mark.parametrize("threads", [2, 4, 9])
def test_threads_change_no_byte_of_a_mosaic(exposure: tuple[Frame, Path], tmp_path: Path, threads: int) -> None:
    frame, _ = exposure
    one = reduce_frame(frame, tmp_path / "one.fits")
    many = reduce_frame(frame, tmp_path / "many.fits", threads=threads)
    assert one.path.read_bytes() == many.path.read_bytes()
    assert many.detectors == ("1", "2", "3", "4", "5")
    assert repr(one.measures) == repr(many.measures)  # NaN is not itself


def test_the_solution_moves_with_what_was_trimmed(exposure: tuple[Frame, Path], tmp_path: Path) -> None:
    from astropy.wcs import WCS

    frame, truth = exposure
    reduce_frame(frame, tmp_path / "out.fits", steps=Steps(cosmics=False, quality=False))
    stars = fits.getdata(truth, "STARS")
    for header in read_headers(tmp_path / "out.fits")[1::3]:
        wcs = WCS(fits.getheader(tmp_path / "out.fits", header.index))
        own = stars[stars["detector"] == int(str(header["NFDET"]))]
        assert len(own) > 5
        x, y = wcs.all_world2pix(own["ra"], own["dec"], 1)  # as the truth counts them
        assert np.hypot(x - own["x"], y - own["y"]).max() < 0.05


def test_without_a_solution_the_reason_is_told(exposure: tuple[Frame, Path], tmp_path: Path) -> None:
    frame, _ = exposure
    with fits.open(frame.path) as hdus:
        for hdu in hdus[1:]:
            for key in ("CTYPE1", "CTYPE2"):
                del hdu.header[key]
        hdus.writeto(tmp_path / frame.path.name)
    blind = open_frame(tmp_path / frame.path.name, load_instruments())
    made = reduce_frame(blind, tmp_path / "out.fits", reference=Reference(tmp_path / "never read.fits"))
    assert all("no header has a solution on the sky" in each.reasons for each in made.measures)
    assert all(np.isnan(each.zero_point) for each in made.measures)
