"""Disks: pure decisions about free space and its trend."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conditions.base import OpenAlert
from services.conditions.disks import DiskFacts, DiskPlace, decide, gather, hours_until_full
from services.conditions.patience import Patience, Silent
from services.core.condition_settings import DiskConditions

SETTINGS = DiskConditions()
PLACE = DiskPlace("archive", Path("/srv/archive"))
GB = 10**9


def disk(free_fraction: float, **more: object) -> DiskFacts:
    total = 1000 * GB
    return DiskFacts(PLACE, 1, total, int(free_fraction * total), 1000, 1000, **more)  # type: ignore[arg-type]


def opened(found: list[object]) -> dict[str, OpenAlert]:
    return {f.alert: OpenAlert(f.severity, f.message, 0.0, 0.0, f.details) for f in found}  # type: ignore[attr-defined]


def test_severity_grows_as_the_disk_fills_and_the_message_says_how_much_is_left() -> None:
    assert decide([disk(0.2)], SETTINGS, "h", {}) == []
    (warned,) = decide([disk(0.09)], SETTINGS, "h", {})
    (grave,) = decide([disk(0.02)], SETTINGS, "h", {})
    assert (warned.alert, warned.severity, grave.severity) == ("disk:h:archive:full", 1, 2)
    assert "90 GB left of 1 TB (9.0%)" in warned.message


@given(st.lists(st.floats(0.0951, 0.1049), min_size=2, max_size=60))
def test_free_space_about_its_limit_is_one_alert(levels: list[float]) -> None:
    known: dict[str, OpenAlert] = {}
    changes = 0
    for level in levels:
        found = opened(decide([disk(level)], SETTINGS, "h", known))  # type: ignore[arg-type]
        changes += found.keys() != known.keys()
        known = found
    assert changes <= 1


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_an_alert_is_open_below_and_over_well_above(levels: list[float]) -> None:
    known: dict[str, OpenAlert] = {}
    for level in levels:
        known = opened(decide([disk(level)], SETTINGS, "h", known))  # type: ignore[arg-type]
        if level < 0.1:
            assert known["disk:h:archive:full"].severity == (2 if level < 0.03 else known[next(iter(known))].severity)
        if level > 0.1101:
            assert known == {}


def test_a_disk_that_fills_within_hours_is_told_before_it_is_full() -> None:
    # given an hour in which 60 GB of 200 GB went
    trend = tuple((60.0 * n, (200 - n) * float(GB)) for n in range(61))
    # then at that rate it is full in 140 minutes
    assert hours_until_full(trend) == pytest.approx(140 / 60)
    (finding,) = decide([disk(0.2, trend=trend)], SETTINGS, "h", {})
    assert finding.alert == "disk:h:archive:filling" and "full in 2.3 h" in finding.message
    assert finding.severity == 1, "nothing is lost yet: a mail will do"
    assert len(finding.details["trend"]) <= 240


@given(st.integers(5, 120), st.floats(1e6, 1e12), st.floats(0.0, 1e9))
def test_a_disk_that_is_cleared_or_stays_is_never_predicted_to_be_full(n: int, free: float, gain: float) -> None:
    assert hours_until_full(tuple((30.0 * i, free + gain * i) for i in range(n))) is None


def test_one_big_file_is_no_trend() -> None:
    trend = tuple((60.0 * n, (500.0 if n < 50 else 300.0) * GB) for n in range(61))
    assert hours_until_full(trend) is None


@pytest.mark.parametrize("minutes", [10, 20, 30, 45, 55])
def test_a_disk_that_is_cleaned_again_and_again_is_none_that_fills(minutes: int) -> None:
    """Teeth of 100 GB: it fills all the time, but for the moments in which somebody cleans up."""
    for begin in range(0, 4 * 3600, 90):
        times = range(begin, begin + 3601, 30)
        trend = tuple((float(time), (200.0 - 100.0 * (time % (60 * minutes)) / (60 * minutes)) * GB) for time in times)
        assert (hours_until_full(trend) or 99.0) > 6.0


def test_a_few_minutes_are_no_trend() -> None:
    assert hours_until_full(tuple((30.0 * n, (100.0 - n) * GB) for n in range(10))) is None


def test_five_looks_are_a_trend_and_four_are_none() -> None:
    hourly = tuple((900.0 * n, (100.0 - n) * GB) for n in range(5))
    assert hours_until_full(hourly) == pytest.approx(24.0)
    assert hours_until_full(hourly[1:]) is None


def test_read_only_missing_and_inodes() -> None:
    camera = DiskPlace("camera", Path("/data"), written=False, lent=True)
    found = decide(
        [
            disk(0.5, readonly=True),
            DiskFacts(camera, 2, 100, 90, readonly=True),
            DiskFacts(DiskPlace("route-b", Path("/media/b"), lent=True), fault="No such file or directory"),
            DiskFacts(DiskPlace("state", Path("/var")), 3, 100, 90, 1000, 10),
        ],
        SETTINGS,
        "h",
        {},
    )
    assert [f.alert for f in found] == ["disk:h:archive:readonly", "disk:h:route-b:gone", "disk:h:state:inodes"]


def test_limits_that_are_null_are_not_looked_at() -> None:
    off = DiskConditions(free_fraction=None, grave_free_fraction=None, full_within_h=None, free_inodes_fraction=None)
    assert decide([disk(0.0)], off, "h", {}) == []
    (found,) = decide([disk(0.005)], off.model_copy(update={"free_gb": 10.0}), "h", {})
    assert (found.details["value"], found.details["limit"], found.details["unit"]) == (5.0, 10.0, "GB")
    assert found.severity == 1


def test_places_on_one_disk_are_told_once_and_one_that_hangs_stops_no_other(tmp_path: Path) -> None:
    # given two directories of one disk, one that is not made yet, and one whose server is gone
    hung, release = DiskPlace("camera", tmp_path), threading.Event()
    places = [DiskPlace("state", tmp_path), DiskPlace("archive", tmp_path / "later"), hung]
    patience: Patience[DiskFacts] = Patience(0.05)

    def ask(name: str, question: object) -> DiskFacts:
        def hangs() -> DiskFacts:
            release.wait()
            raise OSError(5, "gone")

        return patience.ask(name, hangs if name == "camera" else question)  # type: ignore[arg-type]

    trends: dict[str, deque[tuple[float, float]]] = {}
    found = gather(places, ask, trends, 1000.0)
    assert [(each.place.name, each.fault is None) for each in found] == [("state", True), ("camera", False)]
    # when it is asked again, no second question piles up behind the first
    with pytest.raises(Silent, match="more than"):
        ask("camera", None)
    release.set()


def test_what_goes_wrong_in_a_question_is_the_answer_and_no_silence(tmp_path: Path) -> None:
    patience: Patience[object] = Patience(60.0)
    with pytest.raises(FileNotFoundError):
        patience.ask("archive", (tmp_path / "gone").stat)
    assert patience.ask("archive", tmp_path.stat) == tmp_path.stat()
