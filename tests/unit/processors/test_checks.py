"""Checks: what is right passes, what is wrong is told with its flag."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.check_frame import check_frame, check_sequence
from processors.checks.registry import every_check
from processors.checks.result import CheckResult, verdict_of
from processors.fits import Frame
from processors.instrument_schema import CheckName, Limit
from tests.unit.processors import toy


def checked(tmp_path: Path, images: dict[str, Any] | None = None, **cards: Any) -> dict[tuple[str, str], CheckResult]:
    rng = np.random.default_rng(1)
    images = images or {name: toy.raw_image(0, rng) for name in ("1", "2")}
    results = check_frame(toy.write(tmp_path / "a.fits", images, **cards), toy.instruments(tmp_path))
    return {(result.check, result.detector + result.amplifier): result for result in results}


def test_a_good_bias_passes_everything(tmp_path: Path) -> None:
    results = checked(tmp_path)
    assert {result.verdict for result in results.values()} == {"ok"}
    assert {result.flag for result in results.values()} == {""}
    assert results["overscan_level", "1A"].value == pytest.approx(1000, abs=1)
    assert results["overscan_level", "2B"].value == pytest.approx(1200, abs=1)
    assert results["read_noise", "1A"].value == pytest.approx(2 * 2.0, rel=0.2)
    assert results["noise", "1B"].value == pytest.approx(2 * 3.0, rel=0.2)
    assert results["mean_level", "1B"].value == pytest.approx(0, abs=0.6)


def test_every_check_has_its_name_in_the_schema(tmp_path: Path) -> None:
    named = {name for check in every_check() for name in check.names}
    assert named == set(typing.get_args(CheckName))
    assert {check for check, _ in checked(tmp_path)} <= named
    assert all(check.about for check in every_check())


@pytest.mark.parametrize(
    ("value", "verdict", "limits"),
    [
        (5.0, "ok", (4, 6)),
        (6.0, "ok", (4, 6)),
        (6.1, "warning", (4, 6)),
        (9.0, "error", (None, 8)),
        (-1e9, "warning", (4, 6)),
        (float("nan"), "error", (None, 8)),
        (float("inf"), "error", (None, 8)),
    ],
)
def test_verdicts(value: float, verdict: str, limits: Any) -> None:
    limit = Limit.model_validate({"from": "2020-01-01", "warning": [4, 6], "error": [None, 8]})
    assert verdict_of(value, limit) == (verdict, limits)


def test_nan_is_an_error_without_limits_too() -> None:
    assert verdict_of(float("nan"), None) == ("error", None)
    assert verdict_of(1.0, None) == ("ok", None)


def test_missing_detectors_and_cards(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    results = checked(tmp_path, {"2": toy.raw_image(0, rng)}, OBSTYPE="zero", DATE_OBS="2022-01-26T23:00:00")
    assert (results["completeness", ""].verdict, results["completeness", ""].flag) == ("error", "MISSDATA")
    assert results["completeness", ""].message == "1 of 2 detectors missing: 1"
    results = checked(tmp_path, OBSTYPE=None)
    assert results["header_cards", ""].message == "missing: OBSTYPE"
    assert results["exposure_type", ""].verdict == "warning"


def test_a_bias_with_light_or_exposure_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    results = checked(tmp_path, {n: toy.raw_image(300, rng) for n in ("1", "2")}, EXPTIME=1.0)
    assert results["exposure_type", ""].message == "a bias of 1 s"
    assert (results["mean_level", "1A"].verdict, results["mean_level", "1A"].flag) == ("warning", "BGD_OOL")


def test_limits_hold_from_their_date_and_for_their_obstypes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = {n: toy.raw_image(300, rng) for n in ("1", "2")}
    late = checked(tmp_path, images, DATE_OBS="2025-06-01T23:00:00")
    assert late["mean_level", "1A"].verdict == "ok"
    assert late["mean_level", "1A"].limits == (-500, 500)
    early = checked(tmp_path, images, DATE_OBS="1999-06-01T23:00:00")
    assert early["mean_level", "1A"].limits is None
    science = checked(tmp_path, images, OBSTYPE="object", EXPTIME=5.0)
    assert science["mean_level", "1A"].limits is None


def test_nights_that_disagree_are_a_warning(tmp_path: Path) -> None:
    result = checked(tmp_path, NIGHT="20220127")["night", ""]
    assert (result.verdict, result.flag) == ("warning", "NIGHT_MISMATCH")


def test_nan_pixels_and_dead_amplifiers_are_errors(tmp_path: Path) -> None:
    image = toy.raw_image(0, np.random.default_rng(1)).astype(np.float32)
    image[:, 2:22] = np.nan
    image[:, 42:52] = np.nan
    image[:, 22:42] = 1200
    results = checked(tmp_path, {"1": image, "2": image})
    for check in ("bad_values", "overscan_level", "read_noise", "mean_level", "noise"):
        assert results[check, "1A"].verdict == "error", check
    assert results["bad_values", "1B"].message == "every pixel has the same value"


def test_saturation_is_measured(tmp_path: Path) -> None:
    sky = np.zeros(toy.SHAPE)
    sky[:, :10] = 1e6
    rng = np.random.default_rng(1)
    images = {n: toy.raw_image(sky, rng) for n in ("1", "2")}
    results = checked(tmp_path, images, OBSTYPE="object", EXPTIME=5.0)
    assert results["saturation", "1A"].value == 0.5
    assert results["saturation", "1B"].value == 0.0


def test_pairs_tell_read_noise_and_gain(tmp_path: Path) -> None:
    known = toy.instruments(tmp_path, toy.YAML + "  gain: {from: 2000-01-01, warning: [0.7, 1.3]}\n")
    rng = np.random.default_rng(4)

    def frame(number: int, electrons: Any, **cards: Any) -> Frame:
        return toy.frame(tmp_path / f"{number}.fits", known, electrons, number, EXPNUM=number, **cards)

    frames = [frame(n, 0) for n in range(1, 5)]
    for n in range(5, 11):
        photons = rng.poisson(28000, toy.SHAPE)
        photons[:, 20:] = rng.poisson(28000 / 2, (24, 20)) * 2  # as if B had half the gain that the file gives it
        frames.append(frame(n, photons, OBSTYPE="dome", EXPTIME=3.0))
    results = check_sequence(frames)
    noise = [r.value for r in results if r.check == "read_noise"]
    assert noise == pytest.approx([4, 6, 4, 6], rel=0.15)
    gains = {r.detector + r.amplifier: r for r in results if r.check == "gain"}
    assert [gains[name].value for name in ("1A", "1B")] == pytest.approx([2, 1.5], rel=0.25)
    assert [gains[name].verdict for name in ("1A", "1B", "2A", "2B")] == ["ok", "warning", "ok", "warning"]
    assert gains["1B"].flag == "GAIN_OOL"
    assert gains["1B"].limits == pytest.approx((0.7 * 3, 1.3 * 3))
