"""Masters of a simulated camera against the truth beside it: bias structure, dark current, response, bad pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processors.check_frame import open_frame
from processors.errors import BadFrame, NoCalibration
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.masters.badpix import Limits, build_badpix
from processors.masters.build import Master, Recipe, build_master
from processors.masters.surface import smooth_surface
from processors.planes import Mask
from processors.simulator import patterns
from processors.simulator.camera import Camera, build_camera
from processors.simulator.night import simulate_night
from processors.simulator.options import NightOptions

KNOWN = load_instruments()
DARK_S = 300.0


@dataclass(frozen=True)
class Night:
    """Calibration frames of one detector, and the camera that took them."""

    directory: Path
    frames: tuple[Frame, ...]
    camera: Camera

    def of(self, obstype: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.identity.obstype == obstype]

    @property
    def pattern(self) -> patterns.Pattern:
        return patterns.pattern(self.camera, self.camera.detectors[0])

    @property
    def bad(self) -> NDArray[np.bool_]:
        return patterns.bad_pixels(self.camera, self.camera.detectors[0])

    @property
    def light(self) -> NDArray[Any]:
        """What the dome lamp shows of a perfect detector's response, 1 on average."""
        detector = self.camera.detectors[0]
        light = patterns.response(self.camera, detector, "g") * patterns.dome_light(self.camera, detector)
        return np.asarray(light / np.median(light[~self.bad]))

    def master(self, kind: Any, *given: Any, **more: Any) -> Master:
        return build_master(kind, self.of(kind), self.directory / f"{kind}.fits", *given, **more)


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., Night]:
    def make(seed: int, **changes: Any) -> Night:
        none = {"biases": 0, "darks": 0, "flats": 0, "standards": 0, "dithers": 0, "targets": 0}
        fixed = {"detectors": 1, "width": 128, "height": 128, "filters": ("g",), "hk": False, "dark_s": DARK_S}
        options = NightOptions(**{"seed": seed, **fixed, **none, **changes})
        frames = tuple(
            open_frame(made.path, KNOWN)
            for made in simulate_night(tmp_path / f"night{len(list(tmp_path.iterdir()))}", options)
        )
        return Night(tmp_path, frames, build_camera(options))

    return make


@pytest.mark.parametrize("seed", range(20))
def test_the_camera_comes_back(night: Callable[..., Night], seed: int) -> None:
    """Structure of the bias and response within what VAR says; dark current also within the noise of the bias."""
    taken = night(seed, biases=10, darks=10, flats=10)
    bias = taken.master("bias")
    dark = taken.master("dark", bias)
    flat = taken.master("flat", bias, dark=dark)
    good = ~taken.bad
    structure = bias.plane("1") - taken.pattern.bias
    structure -= np.median(structure)
    errors = np.sqrt(bias.plane("1", "VAR"))
    assert 0.8 < (structure / errors)[good].std() < 1.1  # VAR takes the noisier amplifier's read noise for both
    gain, truth = min(a.gain_e_adu for a in taken.camera.detectors[0].amplifiers), taken.pattern.dark
    assert np.median(dark.plane("1")[good]) == pytest.approx(taken.camera.detectors[0].dark_e_s, abs=0.001)
    both = np.sqrt(dark.plane("1", "VAR") + bias.plane("1", "VAR") * (gain / DARK_S) ** 2)
    away = (dark.plane("1") - truth) / both
    assert 0.8 < away[good].std() < 1.15
    assert np.abs(away[taken.pattern.hot]).max(initial=0) < 5
    response = flat.plane("1") / taken.light
    response /= np.median(response[good])
    away = (response - 1) / np.sqrt(flat.plane("1", "VAR"))
    assert 0.9 < away[good].std() < 1.05  # VAR is never less than what photons explain


@pytest.mark.parametrize("seed", range(20))
def test_bad_pixels_come_back(night: Callable[..., Night], seed: int) -> None:
    """At least 99 % of hot pixels and bad columns are found, and at most 1 % of what is found is sound."""
    taken = night(seed, biases=10, darks=10, flats=5)
    bias = taken.master("bias")
    masters = [bias, taken.master("dark", bias), taken.master("flat", bias)]
    mask = build_badpix(masters, taken.directory / "badpix.fits").mask("1")
    found, truth = mask > 0, taken.bad
    assert (found & truth).sum() >= 0.99 * truth.sum()
    assert (found & truth).sum() >= 0.99 * found.sum()
    for column in taken.pattern.bad_columns:
        bit = Mask.HOT if column.kind == "hot" else Mask.BAD
        assert ((mask[column.first_row - 1 :, column.column - 1] & bit) > 0).mean() > 0.98


@pytest.mark.parametrize("seed", range(20))
def test_cosmic_rays_and_a_bias_of_another_level_are_rejected(night: Callable[..., Night], seed: int) -> None:
    taken = night(seed, biases=8, darks=6)
    bad_level(taken.of("bias")[3].path, 40)
    bias = taken.master("bias")
    assert len(bias.rejected) == 1
    assert "+40" in bias.rejected[0].reason
    rng = np.random.default_rng(seed)
    hits = [hit(frame.path, rng) for frame in taken.of("dark")]
    dark = taken.master("dark", bias)
    plane, count = dark.plane("1"), dark.plane("1", "COUNT")
    sound = ~taken.bad
    struck = sound & (np.sum(hits, axis=0) == 1)
    assert (count[struck] < 6).all()
    # 2000 ADU were put in, 8 e-/s; where one of the simulator's own rays fell, too, six inputs cannot tell
    assert (np.abs(plane[struck]) > 0.15).mean() < 0.05
    assert count.mean() > 5.9


def bad_level(path: Path, adu: int) -> None:
    """Raise a bias above its overscan: light fell on it."""
    with fits.open(path, mode="update") as hdus:
        setup = open_frame(path, KNOWN).setups[0]
        for amplifier in setup.amplifiers:
            hdus[setup.hdu].data[amplifier.data.slices] += np.uint16(adu)


def hit(path: Path, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Let 30 cosmic rays of 2000 ADU fall on a frame; where, in the trimmed image."""
    setup = open_frame(path, KNOWN).setups[0]
    trimmed = np.zeros(setup.shape, bool)
    trimmed.ravel()[rng.choice(trimmed.size, 30, replace=False)] = True
    with fits.open(path, mode="update") as hdus:
        for amplifier in setup.amplifiers:
            hdus[setup.hdu].data[amplifier.data.slices] += np.where(
                trimmed[amplifier.trimmed.slices], np.uint16(2000), np.uint16(0)
            )
    return trimmed


def test_a_flat_without_its_illumination_is_the_pixels_own_response(night: Callable[..., Night]) -> None:
    taken = night(2, biases=5, flats=10)
    bias = taken.master("bias")
    kept = taken.master("flat", bias)
    removed = build_master(
        "flat", taken.of("flat"), taken.directory / "pixels.fits", bias, recipe=Recipe(illumination="remove")
    )
    good = ~taken.bad
    smooth = kept.plane("1") / removed.plane("1")
    assert smooth[good].std() > 0.01  # vignetting
    assert abs(np.mean(np.diff(removed.plane("1")[good.all(axis=1)].mean(axis=1)))) < 2e-4
    sharp = taken.light / smooth_surface(np.where(good, taken.light, np.nan).astype(np.float32))
    away = (removed.plane("1") / sharp - 1)[good] / np.sqrt(removed.plane("1", "VAR"))[good]
    assert away.std() == pytest.approx(1, abs=0.1)
    assert fits.getheader(removed.path)["NFILLUM"] == "remove"


def test_a_superflat_of_starry_frames_is_flat_where_the_flat_was_right(night: Callable[..., Night]) -> None:
    taken = night(4, biases=5, flats=5, dithers=7, targets=1)
    bias = taken.master("bias")
    flat = taken.master("flat", bias)
    made = build_master("superflat", taken.of("science"), taken.directory / "superflat.fits", bias, flat=flat)
    known = ~taken.bad & np.isfinite(made.plane("1"))
    assert known.mean() > 0.88  # a star's core may hide from seven small dithers
    plane = made.plane("1")[known]
    assert np.median(plane) == pytest.approx(1, abs=0.02)
    assert np.percentile(plane, 99.9) < 1 + 6 * np.sqrt(np.median(made.plane("1", "VAR")[known]))  # no star is left
    assert [given.role for given in made.inputs] == ["frame"] * 7 + ["bias", "flat"]
    with pytest.raises(NoCalibration, match="of 2 frames would keep their stars: 3 dithered ones"):
        build_master("superflat", taken.of("science")[:2], taken.directory / "two.fits", bias, flat=flat)


def test_fringes_are_what_the_sky_has_above_its_smooth_part(night: Callable[..., Night]) -> None:
    taken = night(4, biases=5, dithers=7, targets=1)
    y, x = np.mgrid[0:128, 0:128]
    wave = 0.05 * np.sin(2 * np.pi * (x + 0.5 * y) / 11)
    for frame in taken.of("science"):
        setup = frame.setups[0]
        with fits.open(frame.path, mode="update") as hdus:
            for amplifier in setup.amplifiers:
                data = hdus[setup.hdu].data[amplifier.data.slices]
                sky = np.median(data) - np.median(hdus[setup.hdu].data[amplifier.overscan.slices])  # type: ignore[union-attr]
                data += np.round(sky * wave[amplifier.trimmed.slices]).astype(np.int64).astype(data.dtype)
    made = build_master("fringe", taken.of("science"), taken.directory / "fringe.fits", taken.master("bias"))
    plane, good = made.plane("1"), ~taken.bad & np.isfinite(made.plane("1"))
    assert np.mean(plane[good] * wave[good]) / np.mean(wave[good] ** 2) == pytest.approx(1, abs=0.1)


def test_bad_pixels_ask_for_masters_that_belong_together(night: Callable[..., Night], tmp_path: Path) -> None:
    taken = night(1, biases=3, darks=3)
    bias = taken.master("bias")
    dark = taken.master("dark", bias)
    with pytest.raises(NoCalibration, match="there is no master"):
        build_badpix([], tmp_path / "no.fits")
    made = build_badpix([bias, dark], tmp_path / "badpix.fits", Limits(hot_e_s=1e9))
    assert not (made.mask("1") & Mask.BAD).any()
    assert [given.role for given in made.inputs] == ["bias", "dark"]
    with pytest.raises(NoCalibration, match=r"badpix\.fits says nothing of bad pixels"):
        build_badpix([made], tmp_path / "no.fits")
    with pytest.raises(NoCalibration, match="no detector 1"):
        dark.mask("1")
    other = night(1, biases=3, night="20260117", width=64)
    small = other.master("bias")
    with pytest.raises(BadFrame, match=r"different shapes|another shape"):
        build_badpix([small, dark], tmp_path / "no.fits")
    assert not (tmp_path / "no.fits").exists()
