"""Groups of calibrations and the choice of masters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.identity import FrameIdentity
from processors.masters.associate import (
    CalibrationKey,
    MasterRef,
    calibration_groups,
    calibration_key,
    matching_masters,
)

SCIENCE = FrameIdentity(
    instrument="cam", night="20220127", expid=7, detectors=("1", "2"), obstype="science", exptime_s=30.0, filter="g",
    object="M1", date_obs="2022-01-28T04:00:00.000", sequence=None, mode="imaging", readout="fast",
    expected_detectors=2,
)  # fmt: skip
BIAS = MasterRef(CalibrationKey("bias", "cam", "20220126", "fast"), "2022-01-26T19:00:00.000", "bias")


def flat(kind: Any = "skyflat", day: str = "2022-01-28T00:00:00", path: str = "flat", **changes: Any) -> MasterRef:
    key = CalibrationKey(kind, "cam", "20220127", "fast", "g", "imaging")
    return MasterRef(replace(key, **changes), day, path)


def path_of(ref: MasterRef | None) -> str | None:
    return None if ref is None else ref.path


def test_keys_of_calibrations() -> None:
    assert calibration_key(SCIENCE) is None
    bias = calibration_key(replace(SCIENCE, obstype="bias"))
    assert bias == CalibrationKey("bias", "cam", "20220127", "fast")
    lit = calibration_key(replace(SCIENCE, obstype="flat", slit="1.2"))
    assert lit == CalibrationKey("flat", "cam", "20220127", "fast", "g", "imaging")
    one = replace(SCIENCE, obstype="flat", mode="spectroscopy", slit="1.2", detectors=("2",))
    assert calibration_key(one) == CalibrationKey("flat", "cam", "20220127", "fast", "g", "spectroscopy", "1.2", "2")


def test_groups_come_biases_first_and_in_order_of_time() -> None:
    frames = [
        ("flat", replace(SCIENCE, obstype="flat")),
        ("late", replace(SCIENCE, obstype="bias", date_obs="2022-01-28T09:00:00.000")),
        ("science", SCIENCE),
        ("early", replace(SCIENCE, obstype="bias", date_obs="2022-01-28T01:00:00.000")),
        ("slow", replace(SCIENCE, obstype="bias", readout="slow")),
    ]
    assert list(calibration_groups(frames).values()) == [("early", "late"), ("slow",), ("flat",)]


def test_masters_of_another_night_match_within_their_age() -> None:
    matches = matching_masters(SCIENCE, [BIAS, flat()])
    assert (path_of(matches.bias), path_of(matches.flat), matches.missing) == ("bias", "flat", ())
    matches = matching_masters(SCIENCE, [BIAS, flat()], max_age_days=1)
    assert (matches.bias, path_of(matches.flat), matches.missing) == (None, "flat", ("bias",))


@pytest.mark.parametrize(
    "changes",
    [{"filter": "r"}, {"readout": "slow"}, {"instrument": "other"}, {"mode": "spectroscopy"}, {"detector": "1"}],
)
def test_a_flat_of_anything_else_does_not_match(changes: dict[str, str]) -> None:
    assert matching_masters(SCIENCE, [BIAS, flat(**changes)]).missing == ("flat",)


def test_spectra_need_their_slit_and_never_an_imaging_flat() -> None:
    spectrum = replace(SCIENCE, mode="spectroscopy", slit="1.2")
    narrow = flat("flat", path="narrow", mode="spectroscopy", slit="1.2")
    wide = flat("flat", path="wide", mode="spectroscopy", slit="5.0")
    assert path_of(matching_masters(spectrum, [flat(), wide, narrow]).flat) == "narrow"
    assert matching_masters(spectrum, [flat(), wide]).flat is None


def test_a_dome_flat_wins_only_when_it_is_three_days_nearer() -> None:
    dome = flat("flat", "2022-01-28T01:00:00", "dome")
    assert path_of(matching_masters(SCIENCE, [dome, flat(day="2022-01-26T00:00:00", path="sky")]).flat) == "sky"
    assert path_of(matching_masters(SCIENCE, [dome, flat(day="2022-01-20T00:00:00", path="sky")]).flat) == "dome"


def test_masters_of_one_detector_suit_its_files_and_whole_masters_all() -> None:
    half = replace(SCIENCE, detectors=("2",))
    own = flat(path="own", detector="2")
    assert path_of(matching_masters(half, [own, flat(path="other", detector="1")]).flat) == "own"
    assert path_of(matching_masters(half, [flat(path="whole")]).flat) == "whole"


def test_calibrations_need_less() -> None:
    assert matching_masters(replace(SCIENCE, obstype="bias"), [BIAS]).missing == ()
    assert matching_masters(replace(SCIENCE, obstype="flat"), []).missing == ("bias",)
    assert path_of(matching_masters(replace(SCIENCE, obstype="skyflat"), [BIAS]).bias) == "bias"


@given(st.permutations([flat(day=f"2022-01-{day:02}T00:00:00", path=str(day)) for day in range(20, 31)]))
def test_the_choice_does_not_depend_on_the_order(masters: list[MasterRef]) -> None:
    assert path_of(matching_masters(SCIENCE, masters).flat) == "28"


def test_what_is_chosen_by_default_is_what_images_need() -> None:
    mask = MasterRef(CalibrationKey("badpix", "cam", "20220127", "fast"), "2022-01-27T12:00:00", "mask")
    dark = MasterRef(CalibrationKey("dark", "cam", "20220127", "fast"), "2022-01-27T12:00:00", "dark")
    matches = matching_masters(SCIENCE, [BIAS, flat(), mask, dark])
    assert {role: ref.path for role, ref in matches.chosen.items()} == {
        "bias": "bias",
        "flat": "flat",
        "badpix": "mask",
    }
    asked = matching_masters(SCIENCE, [BIAS, flat()], needs=("bias", "dark", "flat", "fringe", "badpix"))
    assert asked.missing == ("dark",)  # fringes and bad pixels are used where there are any
