"""On-call schedules: nights over midnight, clocks that change, gaps, and who is brought in."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.oncall import audience, chain_at, overlaps, quiet_at
from services.core.alert_settings import OnCall
from tests.unit.alerts.world import settings_of

SANTIAGO = zoneinfo.ZoneInfo("America/Santiago")


def oncall_of(**fields: Any) -> OnCall:
    return OnCall.model_validate({"time_zone": "America/Santiago", "default": ["anna"], **fields})


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=SANTIAGO).timestamp()


@pytest.mark.parametrize(
    ("when", "who"),
    [
        ("2026-11-20 17:59", "anna"),
        ("2026-11-20 18:00", "ben"),  # a Friday
        ("2026-11-21 07:59", "ben"),
        ("2026-11-21 08:00", "anna"),
        ("2026-11-21 19:00", "anna"),  # a Saturday evening belongs to nobody else
        ("2026-11-28 03:00", "ben"),  # the night that began on the last day
        ("2026-11-28 20:00", "anna"),
        ("2026-12-04 20:00", "anna"),  # a Friday after the last day
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(when: str, who: str) -> None:
    shift = {"from": "2026-11-20", "to": "2026-11-27", "days": ["fri"], "hours": "18:00-08:00", "chain": ["ben"]}
    shift |= {"from": dt.date(2026, 11, 20), "to": dt.date(2026, 11, 27)}
    assert chain_at(oncall_of(shifts=[shift]), at(when)) == (who,)


def test_who_has_the_night_in_which_the_clocks_change_has_the_whole_of_it() -> None:
    # Chile turned its clocks back on 2026-04-05 at 00:00, to 23:00 of the 4th, and forward on 2026-09-06.
    oncall = oncall_of(shifts=[{"hours": "22:00-06:00", "chain": ["ben"]}])
    for evening, hours in (("2026-04-04 22:00", 9), ("2026-09-05 22:00", 7), ("2026-06-01 22:00", 8)):
        begin = at(evening)
        minutes = [chain_at(oncall, begin + 60 * minute) == ("ben",) for minute in range(-30, 24 * 60 - 180)]
        assert minutes[:30] == [False] * 30
        assert sum(minutes) == hours * 60
        assert minutes[30 : 30 + hours * 60] == [True] * (hours * 60), "without a gap"


def test_the_first_shift_that_holds_wins_and_the_overlap_is_told() -> None:
    oncall = oncall_of(
        shifts=[
            {"days": ["sat", "sun"], "chain": ["ben"]},
            {"hours": "20:00-06:00", "chain": ["anna", "ben"]},
            {"days": ["mon"], "hours": "07:00-09:00", "chain": ["ben"]},
        ]
    )
    assert chain_at(oncall, at("2026-11-21 22:00")) == ("ben",)
    (line,) = overlaps(oncall)
    assert line.startswith("shifts 0 and 1 overlap (Sat") and line.endswith("shift 0 wins")


def test_quiet_hours_over_midnight() -> None:
    oncall = oncall_of(quiet_hours="22:00-07:00")
    hours = [hour for hour in range(24) if quiet_at(oncall, at(f"2026-11-20 {hour:02d}:30"))]
    assert hours == [0, 1, 2, 3, 4, 5, 6, 22, 23]


@given(level=st.integers(0, 5), deaf=st.sets(st.sampled_from(["anna", "ben", "carla"])))
def test_more_people_know_at_each_level_and_at_the_end_everybody(level: int, deaf: set[str]) -> None:
    settings = settings_of()
    here, next_one = (audience(settings, 1e9, number, frozenset(deaf)) for number in (level, level + 1))
    assert here[0] == "anna"
    assert len(set(here)) == len(here) and set(here) <= set(next_one)
    hearing = [person for person in here if person not in deaf]
    assert len(hearing) >= min(level + 1, 3 - len(deaf))
    if level >= 2:
        assert set(here) == {"anna", "ben", "carla"}
