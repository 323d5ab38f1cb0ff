"""Every check of pixels on a simulated night: good frames pass, and each trouble raises its flag and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from processors.check_frame import FAILED, check_open_frame, check_sequence, open_frame
from processors.checks import registry
from processors.checks.content import check_content
from processors.checks.crosstalk import check_crosstalk
from processors.checks.master import check_master, masters_for
from processors.checks.registry import DETECTOR_CHECKS, Check
from processors.checks.result import CheckResult
from processors.checks.view import DetectorView
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.masters.build import Master, build_master
from processors.simulator.night import simulate_night
from processors.simulator.options import NightOptions

OPTIONS = NightOptions(
    seed=11, detectors=1, width=768, height=768, biases=4, darks=1, flats=3, standards=0, dithers=1, targets=1,
    filters=("r",), hk=False,
)  # fmt: skip
Raw = NDArray[np.float32]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Frame]]:
    known, frames = load_instruments(), dict[str, list[Frame]]()
    for written in simulate_night(tmp_path_factory.mktemp("night"), OPTIONS):
        frame = open_frame(written.path, known)
        frames.setdefault(frame.identity.obstype, []).append(frame)
    return frames


def view_of(frame: Frame, change: Callable[[Raw], Any] | None = None, masters: Any = None) -> DetectorView:
    """The view of a frame whose raw pixels are changed in place, or replaced by what `change` returns."""
    (setup,) = frame.setups
    raw = frame.image(setup).astype(np.float32)
    changed = None if change is None else change(raw)
    raw = raw if changed is None else changed
    return DetectorView(frame, setup, np.clip(np.rint(raw), 0, 65535).astype(np.uint16), masters or {})


def told(view: DetectorView) -> dict[tuple[str, str], CheckResult]:
    return {(r.check, r.amplifier): r for check in DETECTOR_CHECKS for r in check.run(view)}


def data(frame: Frame, number: int) -> tuple[slice, slice]:
    return frame.setups[0].amplifiers[number].data.slices


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "science"])
def test_good_frames_pass(night: dict[str, list[Frame]], kind: str) -> None:
    for frame in night[kind]:
        wrong = [result for result in check_open_frame(frame) if result.verdict != "ok"]
        assert wrong == []


def test_all_that_should_be_measured_is(night: dict[str, list[Frame]]) -> None:
    names = {kind: {r.check for r in check_open_frame(frames[0])} for kind, frames in night.items()}
    assert {"content", "pattern_noise", "overscan_step", "amplifiers", "checksum"} <= names["bias"]
    assert {"fluence", "fluence_gradient", "content", "amplifiers"} <= names["flat"]
    stars = {"seeing", "focus", "ellipticity", "stars", "sky_level", "sky_gradient", "pointing"}
    assert stars <= names["science"]
    assert not stars & (names["bias"] | names["flat"])


def test_a_bias_with_light_and_a_flat_without(night: dict[str, list[Frame]]) -> None:
    bias, flat = night["bias"][0], night["flat"][0]

    def lit(raw: Raw) -> None:
        raw[data(bias, 0)] += 300

    assert told(view_of(bias, lit))["content", ""].flag == "EXPTYPE"
    dark = replace(flat, path=bias.path, headers=bias.headers, setups=bias.setups)
    result = told(view_of(dark))["content", ""]
    assert (result.verdict, result.flag) == ("error", "EXPTYPE")


def test_stars_in_a_dark(night: dict[str, list[Frame]]) -> None:
    science = night["science"][0]
    dark = replace(science, identity=replace(science.identity, obstype="dark"))
    (result,) = check_content(view_of(dark))
    assert (result.verdict, result.flag) == ("error", "EXPTYPE")
    assert "stars of one size in a dark" in result.message


def test_an_overscan_that_jumps(night: dict[str, list[Frame]]) -> None:
    def jump(raw: Raw) -> None:
        raw[400:] += 40

    results = told(view_of(night["bias"][0], jump))
    assert results["overscan_step", "A"].value == pytest.approx(40, abs=4)
    assert results["overscan_step", "A"].flag == "OFFSET_OOL"


def test_pick_up_is_told_with_frequency_and_amplitude(night: dict[str, list[Frame]]) -> None:
    """Within 5 % of 3 ADU and 0.002 cycles per pixel."""
    bias = night["bias"][0]

    def hum(raw: Raw) -> None:
        pixels = np.arange(raw.size).reshape(raw.shape)
        raw += 3 * np.sin(2 * np.pi * 0.2371 * pixels)

    result = told(view_of(bias, hum))["pattern_noise", "A"]
    gain = bias.setups[0].amplifiers[0].gain_e_adu
    assert result.value == pytest.approx(3 * gain, rel=0.05)
    assert (result.verdict, result.flag) == ("error", "RON_OOL")
    assert float(result.message.split(" at ")[1].split()[0]) == pytest.approx(0.2371, abs=0.002)


def test_faint_and_uneven_flats(night: dict[str, list[Frame]]) -> None:
    flat = night["flat"][0]

    def faint(raw: Raw) -> None:
        for number, amplifier in enumerate(flat.setups[0].amplifiers):
            assert amplifier.overscan is not None
            level = np.median(raw[amplifier.overscan.slices])
            raw[data(flat, number)] = level + 0.02 * (raw[data(flat, number)] - level)

    def uneven(raw: Raw) -> None:
        raw[:] = raw * np.linspace(0.7, 1.3, raw.shape[0])[:, None]

    assert told(view_of(flat, faint))["fluence", "A"].flag == "FLUENCE_OOL"
    result = told(view_of(flat, uneven))["fluence_gradient", ""]
    assert (result.verdict, result.flag) == ("error", "FLUENCEGRAD_OOL")


def test_blurred_trailed_and_cloudy_skies(night: dict[str, list[Frame]]) -> None:
    science = night["science"][0]

    def sky(change: Callable[[Raw], Raw]) -> Callable[[Raw], None]:
        def apply(raw: Raw) -> None:
            for number in (0, 1):
                raw[data(science, number)] = change(raw[data(science, number)])

        return apply

    rng = np.random.default_rng(2)

    def blurred(image: Raw) -> Raw:
        return np.asarray(gaussian_filter(image, 4) + rng.normal(0, 2, image.shape))

    def trailed(image: Raw) -> Raw:
        return np.asarray(np.mean([shift(image, (0, step), order=1, mode="nearest") for step in range(5)], axis=0))

    def cloudy(image: Raw) -> Raw:
        return np.asarray(np.median(image) + rng.normal(0, 6, image.shape))

    result = told(view_of(science, sky(blurred)))["seeing", ""]
    assert (result.verdict, result.flag) == ("warning", "FOCUS_OOL")
    result = told(view_of(science, sky(trailed)))["ellipticity", ""]
    assert result.verdict != "ok"
    assert result.flag == "ELLIP_OOL"
    results = told(view_of(science, sky(cloudy)))
    assert (results["stars", ""].verdict, results["stars", ""].flag) == ("error", "FLUX_OOL")
    # what cannot be measured is no pass
    assert (results["seeing", ""].verdict, results["seeing", ""].flag) == ("error", "POORQUALDATA")


def test_a_poor_field_has_no_seeing_and_says_so(night: dict[str, list[Frame]]) -> None:
    science = night["science"][0]
    rng = np.random.default_rng(3)
    star = gaussian_filter(np.pad([[1.0]], 12), 1.4)
    science = replace(science, identity=replace(science.identity, exptime_s=10.0))

    def poor(raw: Raw) -> None:
        for number in (0, 1):
            own = raw[data(science, number)]
            own[:] = np.median(own) + rng.normal(0, 6, own.shape)
            for y, x in ((100, 100), (300, 200)):
                own[y - 12 : y + 13, x - 12 : x + 13] += 3000 * star

    results = told(view_of(science, poor))
    assert ("seeing", "") not in results
    assert "no seeing: 4 of 4 bright peaks are alone" in results["stars", ""].message


def test_a_bright_or_uneven_sky(night: dict[str, list[Frame]]) -> None:
    science = night["science"][0]

    def bright(raw: Raw) -> None:
        for number in (0, 1):
            raw[data(science, number)] += 8000

    def moonlit(raw: Raw) -> None:
        for number in (0, 1):
            raw[data(science, number)] += 1000 * np.linspace(0, 1, 768)[:, None]

    assert told(view_of(science, bright))["sky_level", ""].flag == "BGD_OOL"
    assert told(view_of(science, moonlit))["sky_gradient", ""].flag == "BGD_OOL"


def test_dead_and_swapped_amplifiers(night: dict[str, list[Frame]]) -> None:
    flat, bias = night["flat"][0], night["bias"][0]

    def dead(raw: Raw) -> None:
        raw[data(flat, 1)] = raw[flat.setups[0].amplifiers[1].overscan.slices].mean()  # type: ignore[union-attr]

    def silent(raw: Raw) -> None:
        raw[data(bias, 1)] = 2000 + (np.arange(raw[data(bias, 1)].size).reshape(raw[data(bias, 1)].shape) % 2)

    def swapped(raw: Raw) -> Raw:
        return raw[:, ::-1]

    assert told(view_of(flat, dead))["amplifiers", "B"].verdict == "error"
    assert told(view_of(bias, silent))["amplifiers", "B"].flag == "AMPLIFIER"
    gains = [amplifier.gain_e_adu for amplifier in flat.setups[0].amplifiers]
    ratio = told(view_of(flat, swapped))["amplifiers", "A"].value
    assert ratio == pytest.approx((gains[0] / gains[1]) ** 2, rel=0.02)


def test_ghosts_of_saturated_stars(night: dict[str, list[Frame]]) -> None:
    """A coefficient of 0.2 % within 10 %; without ghosts none is found."""
    science = night["science"][0]
    a, b = science.setups[0].amplifiers
    assert a.overscan is not None

    def stars(ghosts: float) -> Callable[[Raw], None]:
        def apply(raw: Raw) -> None:
            own, other = raw[a.data.slices], raw[b.data.slices]
            level = float(np.median(raw[a.overscan.slices]))  # type: ignore[union-attr]
            for y, x in ((100, 90), (300, 200), (520, 150), (640, 260)):
                own[y : y + 6, x : x + 6] = 65535
                # the amplifiers are read from their outer ends: mirror images
                other[y : y + 6, ::-1][:, x : x + 6] += ghosts * (65535 - level)

        return apply

    results = {r.amplifier: r for r in check_crosstalk(view_of(science, stars(0.002)))}
    assert results["B"].value == pytest.approx(0.002, rel=0.1)
    assert results["B"].flag == "CROSSTALK"
    results = {r.amplifier: r for r in check_crosstalk(view_of(science, stars(0.0)))}
    assert (results["B"].value, results["B"].verdict) == (0.0, "ok")


@pytest.fixture(scope="module")
def masters(night: dict[str, list[Frame]], tmp_path_factory: pytest.TempPathFactory) -> list[Master]:
    directory = tmp_path_factory.mktemp("masters")
    bias = build_master("bias", night["bias"][1:], directory / "bias.fits")
    return [bias, build_master("flat", night["flat"][1:], directory / "flat.fits", bias)]


def test_frames_like_their_masters_pass_and_others_do_not(night: dict[str, list[Frame]], masters: list[Master]) -> None:
    bias, flat = night["bias"][0], night["flat"][0]
    chosen = masters_for(flat.identity, masters)
    assert set(chosen) == {"bias", "flat"}
    assert set(masters_for(bias.identity, masters)) == {"bias"}
    assert masters_for(night["science"][0].identity, masters) == {}
    for frame in (bias, flat):
        found = list(check_master(view_of(frame, None, chosen)))
        assert [result.verdict for result in found] == ["ok"] * 4
        assert all(result.value < 1e-3 for result in found if result.check == "master_pixels")

    def shifted(raw: Raw) -> None:
        raw[data(bias, 0)] += 12

    def spotted(raw: Raw) -> None:
        raw[data(flat, 0)][100:250, 50:200] *= 0.9

    results = {(r.check, r.amplifier): r for r in check_master(view_of(bias, shifted, chosen))}
    assert results["master_level", "A"].value == pytest.approx(12, abs=1)
    assert results["master_level", "A"].flag == "MASTER_OOL"
    results = {(r.check, r.amplifier): r for r in check_master(view_of(flat, spotted, chosen))}
    assert results["master_pixels", "A"].value == pytest.approx(22500 / (768 * 384), rel=0.1)
    assert results["master_pixels", "A"].verdict == "error"
    assert results["master_pixels", "B"].verdict == "ok"


def test_a_check_that_breaks_is_a_result_and_the_others_go_on(
    night: dict[str, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: DetectorView) -> Any:
        raise KeyError("oops")

    checks = (Check(broken, ("gain",)), *registry.DETECTOR_CHECKS)
    monkeypatch.setattr("processors.check_frame.DETECTOR_CHECKS", checks)
    frame = night["bias"][0]
    results = check_open_frame(frame)
    (failed,) = [result for result in results if result.verdict != "ok"]
    assert (failed.check, failed.flag) == ("gain", FAILED)
    assert failed.message == "defect: KeyError: 'oops'"
    assert len(results) > 12


def test_nan_in_the_overscan_is_an_error_of_every_check_that_needs_it(night: dict[str, list[Frame]]) -> None:
    frame = night["science"][0]
    (setup,) = frame.setups
    raw = frame.image(setup).astype(np.float32)
    assert setup.amplifiers[0].overscan is not None
    raw[setup.amplifiers[0].overscan.slices] = np.nan

    class Spoilt(Frame):
        def image(self, _: Any) -> Any:
            return raw

    spoilt = Spoilt(frame.path, frame.instrument, frame.headers, frame.identity, frame.setups)
    verdicts = {(r.check, r.amplifier): (r.verdict, r.flag) for r in check_open_frame(spoilt)}
    for check in ("overscan_step", "sky_level", "seeing", "stars", "amplifiers"):
        assert verdicts[check, ""] == ("error", "POORQUALDATA"), check
    assert verdicts["pattern_noise", "A"] == ("error", "POORQUALDATA")
    assert verdicts["overscan_level", "A"] == ("error", "POORQUALDATA")


def test_only_some(night: dict[str, list[Frame]]) -> None:
    frame = night["science"][0]
    assert {result.check for result in check_open_frame(frame, only=("seeing", "checksum"))} == {"seeing", "checksum"}
    assert check_sequence(night["bias"], only=("gain",)) == ()


def test_no_limits_is_said(night: dict[str, list[Frame]]) -> None:
    results = {result.check: result for result in check_open_frame(night["science"][0])}
    assert results["mean_level"].limits is None
    assert results["mean_level"].message == "no limits"


def test_a_telescope_that_points_elsewhere(tmp_path: Path, night: dict[str, list[Frame]]) -> None:
    from astropy.io import fits

    frame = night["science"][0]
    path = tmp_path / frame.path.name
    with fits.open(frame.path) as hdus:
        hdus[0].header["DEC"] = "-60:00:00"
        hdus.writeto(path, checksum=True)
    moved = {result.check: result for result in check_open_frame(open_frame(path, load_instruments()))}
    assert (moved["pointing"].verdict, moved["pointing"].flag) == ("error", "POINTING")
    assert moved["checksum"].verdict == "ok"
    with fits.open(frame.path) as hdus:
        hdus[0].header["RA"] = "somewhere"
        hdus.writeto(path, checksum=True, overwrite=True)
    lost = {result.check: result for result in check_open_frame(open_frame(path, load_instruments()))}
    assert (lost["pointing"].verdict, lost["pointing"].flag) == ("error", "POORQUALDATA")


def test_a_flipped_bit_breaks_the_sum(tmp_path: Path, night: dict[str, list[Frame]]) -> None:
    frame = night["bias"][0]
    path = tmp_path / frame.path.name
    content = bytearray(frame.path.read_bytes())
    content[frame.headers[1].data_offset + 12345] ^= 4
    path.write_bytes(content)
    result = {r.check: r for r in check_open_frame(open_frame(path, load_instruments()))}["checksum"]
    assert (result.value, result.verdict, result.flag) == (1, "error", "CHECKSUM")
    assert result.message.startswith("wrong: DATASUM of")
