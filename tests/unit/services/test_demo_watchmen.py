"""The demo's word on the injected fault: told once, over, and every row of housekeeping read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from services.demo.layout import Layout
from services.demo.options import DemoOptions
from services.demo.watchmen import LIMITS, SOURCE, Told, housekeep_section
from services.housekeeping.limits.book import load_limits

GOOD = Told(
    rows_written=1130,
    rows_taken=1130,
    episodes=1,
    alerts_raised=1,
    about_fault=(("raised", 1), ("resolved", 1)),
    mails=2,
)


@pytest.mark.parametrize("mailed", [True, False])
def test_a_night_in_which_the_fault_was_told_is_good(mailed: bool) -> None:
    assert GOOD.faults(mailed) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows_taken": 1131}, "1131 of 1130 rows"),
        ({"episodes": 0}, "raised 0 times"),
        ({"episodes": 2}, "raised 2 times"),
        ({"fault_open": True}, "was not resolved"),
        ({"about_fault": ()}, "none; expected 1 raised"),
        ({"about_fault": (("raised", 2), ("resolved", 1))}, "2 raised, 1 resolved; expected"),
    ],
)
def test_anything_else_is_a_fault_of_the_night(changes: dict[str, object], words: str) -> None:
    (fault,) = replace(GOOD, **changes).faults(True)
    assert words in fault


def test_a_slow_camera_has_more_time(tmp_path: Path) -> None:
    assert DemoOptions(tmp_path, pace_s=5, timeout_s=240).patience_s(32) == 400


def test_alerts_of_a_night_that_is_played_months_later_are_told(tmp_path: Path) -> None:
    assert housekeep_section(Layout(tmp_path))["sources"][SOURCE]["past_s"] is None


def test_the_limits_of_the_demo_are_good_and_ask_for_no_silence(tmp_path: object) -> None:
    path = Layout(tmp_path).limits  # type: ignore[arg-type]
    path.write_text(yaml.safe_dump(LIMITS))
    book = load_limits(path)
    rule = book.rule(SOURCE, "HK_temp_top_CCD1", 0)
    assert rule is not None
    assert (rule.warning, rule.stale_s) == ((-105.0, -95.0), None)
