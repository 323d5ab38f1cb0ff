"""Alerts in rows of the past: what is long over wakes nobody, what lasts is told when the rows are of now."""

from __future__ import annotations

import json

import numpy as np

from services.housekeeping.limits.transition import SECOND, Transition
from services.housekeeping.past import Past
from services.housekeeping.samples import Samples

NOW = 1_700_000_000
PAST_S = {"roe": 600.0}


def rows(second: int) -> Samples:
    return Samples("roe", ("T",), np.array([second]) * SECOND, np.array([[5.0]]))


def step(opened: bool, second: int, kind: str = "high") -> Transition:
    return Transition(f"housekeeping:roe:T:{kind}", opened, 2, "T", second * SECOND, 5.0, 4.0, "K", "HK_OOL")


def sifted(past: Past, *steps: Transition, behind: tuple[str, ...] = (), now: int = NOW) -> list[Transition]:
    past.see([rows(max(one.time_ns // SECOND for one in steps))])
    return past.sift(steps, behind, now * SECOND)


def test_what_is_of_now_is_told_when_it_begins_and_when_it_ends() -> None:
    past = Past(PAST_S, None)
    assert sifted(past, step(True, NOW - 10)) == [step(True, NOW - 10)]
    assert sifted(past, step(False, NOW)) == [step(False, NOW)]
    assert sifted(past, step(True, NOW - 600), step(False, NOW - 600)) == [
        step(True, NOW - 600),
        step(False, NOW - 600),
    ]


def test_what_began_and_ended_in_the_past_is_never_raised() -> None:
    past = Past(PAST_S, None)
    assert sifted(past, step(True, NOW - 900), step(False, NOW - 601)) == [step(False, NOW - 601)]
    assert past.old(NOW * SECOND) == {"roe"}


def test_what_lasts_is_held_until_the_rows_are_of_now_also_by_the_next_process() -> None:
    first = Past(PAST_S, None)
    assert sifted(first, step(True, NOW - 900)) == []
    past = Past(PAST_S, json.loads(json.dumps(first.state())))
    past.see([rows(NOW)])
    assert past.sift([], ("roe",), NOW * SECOND) == [], "the source is not read up"
    assert past.sift([], (), NOW * SECOND) == [step(True, NOW - 900)]
    assert past.sift([], (), NOW * SECOND) == [], "once"


def test_silence_is_known_by_our_clock_and_never_held_back() -> None:
    assert sifted(Past(PAST_S, None), step(True, NOW - 900, "stale"), behind=("roe",)) == [
        step(True, NOW - 900, "stale")
    ]


def test_an_alert_that_the_limits_do_not_hold_any_more_is_not_told() -> None:
    past = Past(PAST_S, None)
    sifted(past, step(True, NOW - 900), step(True, NOW - 900, "low"))
    past.forget([step(True, 0, "low").alert])
    past.see([rows(NOW)])
    assert past.sift([], (), NOW * SECOND) == [step(True, NOW - 900, "low")]
