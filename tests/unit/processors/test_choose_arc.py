"""Which arc a spectrum gets its wavelengths from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from processors.identity import FrameIdentity
from processors.spectra.choose_arc import ArcChoice, choose_arc

FRAME = FrameIdentity(
    instrument="efosc2", night="20220126", expid=20, detectors=("40",), obstype="science", exptime_s=600.0,
    filter="Gr#3", object="", date_obs="2022-01-27T02:00:00.000", sequence=None, mode="spectroscopy",
    readout="fast 2 2", expected_detectors=1, slit="1.2",
)  # fmt: skip


def arc(date_obs: str, **changes: Any) -> FrameIdentity:
    return replace(FRAME, obstype="arc", date_obs=f"2022-01-{date_obs}", **changes)


def chosen(*arcs: FrameIdentity, days: float = 30) -> ArcChoice[int] | None:
    return choose_arc(FRAME, enumerate(arcs), days)


def test_the_nearest_in_time_before_or_after() -> None:
    made = chosen(arc("26T20:00:00"), arc("27T06:30:00"), arc("27T09:00:00"))
    assert made == ArcChoice(1, pytest.approx(0.1875), "1.2", False)
    assert made.words == "4.5 h after the frame"
    assert chosen() is None


@pytest.mark.parametrize(
    "change",
    [
        {"instrument": "other"}, {"readout": "slow 2 2"}, {"filter": "Gr#1"}, {"mode": "imaging"},
        {"detectors": ("41",)}, {"obstype": "science"}, {"obstype": "flat"},
    ],
    ids=str,
)  # fmt: skip
def test_what_differs_is_no_arc_of_the_frame(change: dict[str, Any]) -> None:
    made = chosen(replace(arc("27T02:05:00"), **change), arc("25T20:00:00"))
    assert made is not None
    assert made.arc == 1
    assert chosen(replace(arc("27T02:05:00"), **change)) is None


def test_one_through_the_same_slit_wins_unless_it_is_a_day_farther() -> None:
    made = chosen(arc("27T02:05:00", slit="5.0"), arc("26T20:00:00"))
    assert (made and made.arc, made and made.other_slit) == (1, False)
    made = chosen(arc("27T02:05:00", slit="5.0"), arc("25T20:00:00"))
    assert made is not None
    assert (made.arc, made.other_slit, made.words) == (0, True, "0.1 h after the frame, through another slit (5.0)")


def test_one_that_is_too_far_away_is_none() -> None:
    assert chosen(arc("25T20:00:00"), days=1) is None
    assert chosen(arc("26T20:00:00"), days=1) is not None


def test_the_order_they_come_in_does_not_matter() -> None:
    arcs = [arc("26T22:00:00", expid=1), arc("26T22:00:00", expid=2), arc("27T06:00:00", expid=3)]
    names = {
        choice.arc.expid for some in (arcs, arcs[::-1]) if (choice := choose_arc(FRAME, zip(some, some, strict=True)))
    }
    assert names == {1}
