"""Masters and reduced frames of a toy camera: the truth comes back, and every rejection is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from processors.check_frame import open_frame
from processors.errors import BadFrame, NoCalibration
from processors.fits import Frame, sha256_of
from processors.masters.build import Master, build_master, read_master
from processors.planes import Mask
from processors.preview import write_preview
from processors.reduction.frame import reduce_frame
from tests.unit.processors import toy

Maker = Callable[..., Frame]
ROWS, COLUMNS = np.mgrid[0:24, 0:40]
PATTERN = 1 + 0.2 * np.sin(COLUMNS / 5) + 0.1 * ROWS / 24
PATTERN = PATTERN / np.median(PATTERN)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    known = toy.instruments(tmp_path)
    count = 0

    def frame(electrons: Any = 0.0, **cards: Any) -> Frame:
        nonlocal count
        count += 1
        return toy.frame(tmp_path / f"raw{count}.fits", known, electrons, count, EXPNUM=count, **cards)

    return frame


def bias_of(make: Maker, tmp_path: Path, number: int = 9) -> Master:
    return build_master("bias", [make() for _ in range(number)], tmp_path / "bias.fits", software="nightferry test")


def flats(make: Maker, *levels: float) -> list[Frame]:
    rng = np.random.default_rng(5)
    return [make(rng.poisson(level * PATTERN), OBSTYPE="dome", EXPTIME=3.0, FILTER="g") for level in levels]


def test_a_master_bias_averages_its_inputs(make: Maker, tmp_path: Path) -> None:
    master = bias_of(make, tmp_path)
    assert master.detectors == ("1", "2")
    plane = master.plane("2")
    assert plane.mean() == pytest.approx(0, abs=0.3)
    assert plane.std() == pytest.approx(2 / 3, rel=0.35)  # and the overscan's own noise
    assert master.plane("2", "COUNT").max() == 9
    assert np.sqrt(np.median(master.plane("1", "VAR"))) == pytest.approx(5 / 2 / 3, rel=0.1)  # the file says 5 e-


def test_a_master_says_where_it_comes_from(make: Maker, tmp_path: Path) -> None:
    master = bias_of(make, tmp_path, 3)
    assert [given.name for given in master.inputs] == ["raw1.fits", "raw2.fits", "raw3.fits"]
    assert master.inputs[0].sha256 == sha256_of(tmp_path / "raw1.fits")
    assert (master.key.kind, master.key.night, master.key.detector) == ("bias", "20220126", "")
    assert read_master(master.path) == master
    with fits.open(master.path, checksum=True) as hdus:
        assert hdus[0].header["NFSOFT"] == "nightferry test"


def test_bad_inputs_are_left_out_with_their_reason(make: Maker, tmp_path: Path) -> None:
    frames = [make(), make(), make(), make(800.0), make(1e6)]
    master = build_master("bias", frames, tmp_path / "bias.fits")
    reasons = {left_out.name: left_out.reason for left_out in master.rejected}
    assert reasons.keys() == {"raw4.fits", "raw5.fits"}
    assert "ADU from the others" in reasons["raw4.fits"]
    assert reasons["raw5.fits"] == "100.0 % of the pixels are saturated"
    assert len(master.inputs) == 3


def test_a_flat_is_one_on_average_and_shows_the_pattern(make: Maker, tmp_path: Path) -> None:
    bias = bias_of(make, tmp_path)
    master = build_master("flat", flats(make, 30000, 60000, 90000), tmp_path / "flat.fits", bias)
    plane = master.plane("1")
    assert np.median(plane) == pytest.approx(1, abs=0.01)
    residual = plane / PATTERN / np.median(plane / PATTERN) - 1
    assert residual.std() < 0.01
    assert master.inputs[-1].role == "bias"
    assert (master.key.filter, master.key.mode) == ("g", "imaging")


def test_a_flat_of_nothing_but_faint_ones_is_no_calibration(make: Maker, tmp_path: Path) -> None:
    with pytest.raises(NoCalibration, match=r"raw1\.fits: level .* less than 500"):
        build_master("flat", flats(make, 100, 50), tmp_path / "flat.fits")
    assert not (tmp_path / "flat.fits").exists()


def test_frames_of_two_kinds_make_no_master(make: Maker, tmp_path: Path) -> None:
    with pytest.raises(BadFrame, match="not those of one master bias"):
        build_master("bias", [make(), *flats(make, 9000)], tmp_path / "bias.fits")


def test_reduction_gives_the_truth_back(make: Maker, tmp_path: Path) -> None:
    bias = bias_of(make, tmp_path)
    flat = build_master("flat", flats(make, 60000, 60000, 60000, 60000), tmp_path / "flat.fits", bias)
    sky = np.full(toy.SHAPE, 4000.0)
    sky[5, 5] = 1e6
    science = make(sky * PATTERN, OBSTYPE="object", EXPTIME=60.0, FILTER="g", NIGHT="20220127")
    made = reduce_frame(science, tmp_path / "red.fits", bias, flat, software="nightferry test")
    assert made.flags == ("NIGHT_MISMATCH",)
    assert [given.role for given in made.inputs] == ["frame", "bias", "flat"]
    with fits.open(made.path, checksum=True) as hdus:
        sci, var, mask = (hdus[f"2-{plane}"].data for plane in ("SCI", "VAR", "MASK"))
        assert hdus["2-SCI"].header["BUNIT"] == "electron"
        assert hdus[0].header["NF IN1 SHA256"] == sha256_of(science.path)
    assert mask[5, 5] == Mask.SATURATED
    assert (mask > 0).sum() == 1
    good = mask == 0
    assert np.median(sci[good]) == pytest.approx(4000, rel=0.005)
    assert (sci[good] / 4000 - 1).std() < 0.01  # no photon noise was put in: the flat's and the read noise are left
    assert np.median(var[good]) == pytest.approx(4000 + 30, rel=0.03)


def test_what_is_missing_is_flagged(make: Maker, tmp_path: Path) -> None:
    made = reduce_frame(make(100.0, OBSTYPE="object", EXPTIME=1.0), tmp_path / "red.fits")
    assert made.flags == ("NOBIAS", "NOFLAT")
    assert made.calibrations == ()


def test_a_quick_look_is_said_and_makes_no_master(make: Maker, tmp_path: Path) -> None:
    marks = {"NFCODEC": "hcompress", "NFNOISE": 0.59}
    made = reduce_frame(make(100.0, OBSTYPE="object", EXPTIME=1.0, **marks), tmp_path / "red.fits")
    assert "QUICKLOOK" in made.flags
    assert fits.getheader(made.path)["NFQLOOK"] == "hcompress, noise 0.59 of the sky's sigma"
    with pytest.raises(NoCalibration, match="a quick look"):
        build_master("bias", [make(**marks), make(**marks)], tmp_path / "bias.fits")


def test_a_master_of_other_detectors_is_refused_and_no_master_is_no_master(make: Maker, tmp_path: Path) -> None:
    known = toy.instruments(tmp_path)
    path = toy.write(tmp_path / "one.fits", {"1": toy.raw_image(0, np.random.default_rng())})
    bias = build_master("bias", [open_frame(path, known)], tmp_path / "bias.fits")
    with pytest.raises(NoCalibration, match="no detector 2"):
        reduce_frame(make(), tmp_path / "red.fits", bias)
    assert not (tmp_path / "red.fits").exists()
    with pytest.raises(BadFrame, match="no master"):
        read_master(path)


def test_masters_too_big_for_the_memory_are_the_same(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [make() for _ in range(4)]
    in_memory = build_master("bias", frames, tmp_path / "a.fits")
    monkeypatch.setattr("processors.masters.planes._ALL_IN_MEMORY", 0.0)
    spooled = build_master("bias", frames, tmp_path / "b.fits", scratch=tmp_path)
    assert spooled.sha256 == in_memory.sha256
    assert not list(tmp_path.glob("nightferry-*"))


def test_previews_stand_upright_and_side_by_side(make: Maker, tmp_path: Path) -> None:
    sky = np.full(toy.SHAPE, 1000.0)
    sky[18:22, 5:9] = 3000
    made = reduce_frame(make(sky, OBSTYPE="object", EXPTIME=1.0), tmp_path / "red.fits")
    assert write_preview(made.path, tmp_path / "red.png") == (84, 24)
    pixels = np.asarray(Image.open(tmp_path / "red.png"))
    assert pixels[2:5, 6:8].min() > pixels[15:20, 6:8].max()
    assert write_preview(made.path, tmp_path / "small.png", largest=20)[0] <= 24
