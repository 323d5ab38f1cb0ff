"""From raw frame, masters and arc to a spectrum on disk, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from processors.errors import BadFrame
from processors.fits import Frame, sha256_of
from processors.instrument import Instruments
from processors.masters.build import Master, build_master
from processors.reduction.spectrum import SlitExposure, spectrum_frame
from tests.unit.processors import slit_camera
from tests.unit.processors.slit_scene import COLUMNS, ROWS, SlitScene


@dataclass
class Night:
    known: Instruments
    scene: SlitScene
    science: Frame
    arc: Frame
    bias: Master
    flat: Master

    @property
    def exposure(self) -> SlitExposure:
        return SlitExposure(self.science, self.arc, self.bias, self.flat)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night whose arc lies 1.5 pixels below the sky."""
    directory = tmp_path_factory.mktemp("night")
    scene = SlitScene(2, shift_px=1.5)
    known = slit_camera.instruments(directory, scene)

    def frame(name: str, electrons: np.ndarray, **cards: object) -> Frame:
        return slit_camera.expose(directory / f"{name}.fits", known, electrons, **cards)

    rng = scene.rng
    dark = [rng.normal(0, 5, (ROWS, COLUMNS)) for _ in range(3)]
    lamp = 8000 * (1 + 0.3 * scene.u)[:, None] * np.ones(COLUMNS)
    zeros = [frame(f"b{n}", one, OBSTYPE="zero", EXPTIME=0.0, GRISM=None) for n, one in enumerate(dark)]
    flats = [frame(f"f{n}", rng.poisson(lamp) + one, OBSTYPE="flat") for n, one in enumerate(dark)]
    bias = build_master("bias", zeros, directory / "bias.fits")
    flat = build_master("flat", flats, directory / "flat.fits", bias)
    science = frame("s", scene.science().sci)
    arc = frame("a", scene.arc().sci, OBSTYPE="arc", DATE_OBS="2022-01-26T20:00:00")
    return Night(known, scene, science, arc, bias, flat)


def test_a_spectrum_with_everything(night: Night, tmp_path: Path) -> None:
    made = spectrum_frame(night.exposure, tmp_path / "s.fits", software="nightferry 1")
    # then: wavelengths are those of the truth, as the sky has moved them
    table = Table.read(tmp_path / "s.fits", hdu="SPECTRUM")
    inside = (table["FLAGS"] & 8) == 0
    assert np.abs(np.asarray(table["WAVE"]) - night.scene.wavelength_a)[inside].max() < 1.5
    assert np.median(table["BOXFLUX"] / night.scene.object_e) == pytest.approx(1, abs=0.02)
    assert (made.flags, made.reasons, made.lines >= 8) == ((), (), True)
    assert made.wavelength_rms_a is not None and made.wavelength_rms_a < 1
    assert made.sky_shift_px == pytest.approx(1.5, abs=0.2)
    assert made.sky_line == "OI 5577"
    assert made.sky_residual_a == pytest.approx(0, abs=0.5)
    assert made.signal_to_noise == pytest.approx(np.median(table["SNR"]), rel=1e-5)
    # and it says where it comes from
    assert [given.role for given in made.inputs] == ["frame", "arc", "bias", "flat"]
    header = fits.getheader(tmp_path / "s.fits")
    assert (header["NFKIND"], header["NFSOFT"], header["NFNINP"], header["NFMODE"], header["NFFLAGS"]) == (
        "spectrum", "nightferry 1", 4, "spectroscopy", "",
    )  # fmt: skip
    assert header["NF IN2 ROLE"] == "arc"
    assert header["NF IN2 SHA256"] == sha256_of(night.arc.path)
    assert header["NFARCDAT"].startswith("2022-01-26T20:00:00")
    record = json.loads(json.dumps(made.record(), allow_nan=False))
    assert record["inputs"] == {"s.fits": "frame", "a.fits": "arc", "bias.fits": "bias", "flat.fits": "flat"}
    assert record["sky_residual_a"] == made.sky_residual_a
    assert {"from_a", "to_a", "signal_to_noise"} == set(record["bands"][0])


def test_the_same_inputs_give_the_same_bytes(night: Night, tmp_path: Path) -> None:
    hashes = {frame.path: sha256_of(frame.path) for frame in (night.science, night.arc)}
    spectrum_frame(night.exposure, tmp_path / "one.fits")
    spectrum_frame(replace(night.exposure, hashes=hashes), tmp_path / "two.fits")
    assert sha256_of(tmp_path / "one.fits") == sha256_of(tmp_path / "two.fits")


def test_without_calibrations_it_is_in_pixels_and_says_so(night: Night, tmp_path: Path) -> None:
    made = spectrum_frame(SlitExposure(night.science), tmp_path / "s.fits")
    assert made.flags == ("NOBIAS", "NOFLAT", "NOARC")
    assert (made.wavelength_rms_a, made.lines, made.bands, made.sky_line) == (None, 0, (), "")
    assert set(made.numbers()) == {"lines", "signal_to_noise"}
    json.dumps(made.record(), allow_nan=False)
    assert "PIXEL" in Table.read(tmp_path / "s.fits", hdu="SPECTRUM").colnames
    assert fits.getheader(tmp_path / "s.fits")["NFFLAGS"] == "NOBIAS NOFLAT NOARC"


def test_an_arc_of_no_use_leaves_a_spectrum_in_pixels(night: Night, tmp_path: Path) -> None:
    dark = night.scene.rng.normal(0, 5, (ROWS, COLUMNS))
    off = slit_camera.expose(tmp_path / "off.fits", night.known, dark, OBSTYPE="arc")
    made = spectrum_frame(replace(night.exposure, arc=off), tmp_path / "s.fits")
    assert made.flags == ("BADARC",)
    assert "is the lamp on?" in made.reasons[0]
    off.path.write_bytes(off.path.read_bytes()[:4000])
    cut = spectrum_frame(replace(night.exposure, arc=off), tmp_path / "s.fits")
    assert cut.flags == ("BADARC",)
    assert "truncated" in cut.reasons[0]


def test_another_slit_and_a_dark_sky_are_told(night: Night, tmp_path: Path) -> None:
    light = night.scene.flux_e * np.exp(-0.5 * ((np.arange(COLUMNS) - 80) / 2) ** 2) / 5
    electrons = night.scene.frame(np.broadcast_to(light, (ROWS, COLUMNS))).sci
    frame = slit_camera.expose(tmp_path / "d.fits", night.known, electrons, SLIT="5.0")
    made = spectrum_frame(SlitExposure(frame, night.arc, night.bias, night.flat), tmp_path / "s.fits")
    assert made.flags == ("ARCSLIT", "NOSKYLINES")
    assert made.reasons == ("the arc is through 1.0, not 5.0",)
    assert made.sky_residual_a is None


def test_a_ratio_to_a_standard_and_one_that_cannot_be(night: Night, tmp_path: Path) -> None:
    bright = replace(night.scene, flux_e=30000.0)
    star = slit_camera.expose(tmp_path / "star.fits", night.known, bright.science().sci, EXPTIME=15.0)
    standard = replace(night.exposure, frame=star)
    made = spectrum_frame(night.exposure, tmp_path / "s.fits", standard=standard)
    table = Table.read(tmp_path / "s.fits", hdu="SPECTRUM")
    assert np.median(table["RATIO"][table["RATIOVAR"] > 0]) == pytest.approx(3000 / 600 / (30000 / 15), rel=0.02)
    assert [(given.name, given.role) for given in made.inputs[4:]] == [("star.fits", "standard")]
    # when the standard has no arc
    without = spectrum_frame(night.exposure, tmp_path / "s.fits", standard=replace(standard, arc=None))
    assert without.flags == ("NORATIO",)
    assert "it has no arc" in without.reasons[0]
    assert len(without.inputs) == 4


def test_the_frames_own_faults_are_errors_and_leave_nothing(night: Night, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    empty = slit_camera.expose(tmp_path / "e.fits", night.known, night.scene.frame(np.full((ROWS, COLUMNS), 60.0)).sci)
    other = slit_camera.expose(tmp_path / "o.fits", night.known, night.scene.science().sci, GRISM="h")
    for frame, message in ((empty, "no object"), (other, "the file of toy has no spectrograph")):
        with pytest.raises(BadFrame, match=message):
            spectrum_frame(replace(night.exposure, frame=frame), out / "s.fits")
    with pytest.raises(BadFrame, match="0 detectors"):
        spectrum_frame(SlitExposure(replace(night.science, setups=())), out / "s.fits")
    assert list(out.iterdir()) == []
