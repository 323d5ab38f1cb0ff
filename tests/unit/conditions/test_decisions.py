"""Clock, queues, checks, sequences, backlog: facts in, findings out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conditions import checks, clock, queues, sequences, transfer
from services.conditions.base import Finding, OpenAlert, listed, words_of_bytes, words_of_time
from services.conditions.chrony import Tracking, quiet_s, tracking_of
from services.core.condition_settings import (
    BacklogCondition,
    CheckConditions,
    ClockConditions,
    QueueConditions,
    SequenceConditions,
)

NOW = 1_000_000.0


def opened(found: list[Finding]) -> dict[str, OpenAlert]:
    return {f.alert: OpenAlert(f.severity, f.message, NOW, NOW, f.details) for f in found}


def names(found: list[Finding]) -> list[str]:
    return [f.alert for f in found]


# -- clock ------------------------------------------------------------------------------------------------------------


def test_the_clock_of_the_kernel_can_be_asked() -> None:
    assert clock.kernel_clock() is None or abs(clock.kernel_clock() or 0.0) < 3600.0
    assert clock.gather({}).jump_s == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("state", "status", "offset", "seconds"),
    [
        (0, 0x2001, 2_500_000, -0.0025),  # STA_PLL, STA_NANO: ahead of us by what is still to be slewed
        (0, 0x0001, -2_500, 0.0025),
        (1, 0x2011, 0, 0.0),  # a leap second to come
        (5, 0x0001, 0, None),  # TIME_ERROR
        (0, 0x0041, 0, None),  # STA_UNSYNC
    ],
)
def test_the_kernel_s_words(state: int, status: int, offset: int, seconds: float | None) -> None:
    assert clock.kernel_offset(state, status, offset) == seconds


TRACKING = "7F000001,127.0.0.1,2,1795294441.106934086,{},-0.000000431,0.000000431,-57.662,-0.000,939.769,0.000006314,"
TRACKING += "0.000903844,64.5,{}\n"


def test_chrony_s_words() -> None:
    assert tracking_of(TRACKING.format("4.999997616", "Normal")) == Tracking(-4.999997616, 1795294441.106934086, 64.5)
    assert tracking_of(TRACKING.format("-0.25", "Insert second")) == Tracking(0.25, 1795294441.106934086, 64.5)
    assert tracking_of(TRACKING.format("0.0", "Not synchronised")) == Tracking(None)
    assert tracking_of(TRACKING.format("0.0", "Normal").replace("7F000001", "7F7F0101")) == Tracking(None)
    for wrong in (("nan", "Normal"), ("1e3", "Normal"), ("0,5", "Normal"), ("", "Normal"), ("0.5", "Synchronised")):
        assert tracking_of(TRACKING.format(*wrong)) is None, wrong


def test_a_chrony_that_hears_nobody_is_as_old_as_its_last_update() -> None:
    memory: dict[str, Any] = {}
    said = Tracking(0.0, 1000.0, 1024.0)
    assert quiet_s(said, memory, 1500.0, 50.0) is None  # 500 s
    assert quiet_s(said, memory, 99_000.0, 3500.0) is None  # a clock that is set does not matter; 3950 s, four polls
    assert quiet_s(said, memory, 0.0, 5000.0) == 5450.0
    assert quiet_s(replace(said, updated_s=90_000.0), memory, 99_000.0, 5001.0) is None


def test_a_restart_neither_ends_nor_repeats_what_was_told_of_a_loose_clock() -> None:
    told = opened(clock.decide(clock.ClockFacts(None, 4000.0), ClockConditions(), "h", NOW, {}))
    (still,) = clock.decide(clock.ClockFacts(None, 0.0), ClockConditions(), "h", NOW, told)
    assert still.message == told["clock:h:unsynchronised"].message
    assert clock.decide(clock.ClockFacts(0.0), ClockConditions(), "h", NOW, told) == []


@given(st.lists(st.floats(-0.549, 0.549), min_size=2, max_size=40))
def test_an_offset_about_its_limit_is_one_alert(offsets: list[float]) -> None:
    known: dict[str, OpenAlert] = {}
    openings = 0
    for offset in offsets:
        size = 0.46 + abs(offset) % 0.08  # between the limit less its tenth, and above it
        found = opened(clock.decide(clock.ClockFacts(size), ClockConditions(), "h", NOW, known))
        openings += found.keys() > known.keys()
        known = found
    assert openings <= 1


def test_a_clock_that_nothing_holds_and_one_that_jumps() -> None:
    settings = ClockConditions()
    loose = clock.ClockFacts(None, unsynchronised_s=4000.0)
    assert names(clock.decide(loose, settings, "h", NOW, {})) == ["clock:h:unsynchronised"]
    assert clock.decide(replace(loose, unsynchronised_s=100.0), settings, "h", NOW, {}) == []
    jumped = clock.decide(clock.ClockFacts(0.0, jump_s=-3600.0), settings, "h", NOW, {})
    assert "-3600.0 s" in jumped[0].message
    # it is told for an hour, then it is over
    after = clock.ClockFacts(0.0)
    assert names(clock.decide(after, settings, "h", NOW + 1800.0, opened(jumped))) == ["clock:h:jump"]
    assert clock.decide(after, settings, "h", NOW + 3700.0, opened(jumped)) == []


def test_a_clock_that_is_far_off_wakes_a_person() -> None:
    (found,) = clock.decide(clock.ClockFacts(-45.0), ClockConditions(), "h", NOW, {})
    assert found.severity == 2 and "45 s behind of NTP" in found.message


# -- queues -----------------------------------------------------------------------------------------------------------

IDLE = queues.Facts((), 2, 0, (), 0)


def waiting(age_s: float, depth: int = 3) -> tuple[queues.QueueFacts, ...]:
    return (queues.QueueFacts("checks", depth, NOW - age_s),)


def test_no_worker_is_told_only_while_tasks_wait() -> None:
    settings = QueueConditions()
    assert queues.decide(replace(IDLE, workers=0), settings, NOW, lambda _: False) == []
    alone = replace(IDLE, workers=0, queues=waiting(300.0))
    assert names(queues.decide(alone, settings, NOW, lambda _: False)) == ["queue:no_worker"]
    assert queues.decide(replace(alone, running=1), settings, NOW, lambda _: False) == []
    assert queues.decide(replace(alone, queues=waiting(60.0)), settings, NOW, lambda _: False) == []


def test_redis_away_says_nothing_about_workers() -> None:
    away = replace(IDLE, workers=None, redis_fault="refused", queues=waiting(300.0))
    assert names(queues.decide(away, QueueConditions(), NOW, lambda _: False)) == ["queue:redis"]


def test_failed_tasks_are_one_alert_and_lost_leases_another() -> None:
    failed = replace(IDLE, failed=tuple((f"t{n}", "no") for n in range(30)), lost=3)
    found = queues.decide(failed, QueueConditions(), NOW, lambda _: False)
    assert names(found) == ["task:failed", "queue:leases"] and "t9 and 20 more" in found[0].message
    assert queues.decide(replace(IDLE, lost=2), QueueConditions(), NOW, lambda _: False) == []
    assert names(queues.decide(replace(IDLE, lost=2), QueueConditions(), NOW, lambda _: True)) == ["queue:leases"]


@given(st.lists(st.floats(3250.0, 3890.0), min_size=2, max_size=40))
def test_a_wait_about_its_limit_is_one_alert(ages: list[float]) -> None:
    known: dict[str, OpenAlert] = {}
    changes = 0
    for age in ages:
        facts = replace(IDLE, queues=waiting(age))
        found = opened(queues.decide(facts, QueueConditions(), NOW, known.__contains__))
        changes += found.keys() != known.keys()
        known = found
    assert changes <= 1


# -- checks -----------------------------------------------------------------------------------------------------------


def bad(age: int, detector: str = "1", amplifier: str = "", verdict: str = "error") -> checks.BadValue:
    place = ("simcam", "science", "seeing", detector, amplifier)
    return checks.BadValue(*place, age, verdict, "SEEING_OOL", 3.2, "arcsec", "3.2 arcsec is above 2")


def test_one_bad_exposure_is_no_alert_and_a_bad_night_is_one() -> None:
    settings = CheckConditions()
    assert checks.decide([bad(0), bad(1)], settings, {}) == []
    whole = [bad(age, str(detector)) for age in range(5) for detector in range(62)]
    (found,) = checks.decide(whole, settings, {})
    assert found.alert == "check:simcam:seeing" and "[SEEING_OOL]" in found.message and "and 52 more" in found.message
    assert (found.details["value"], found.details["unit"]) == (3.2, "arcsec")


def test_a_check_without_a_number_is_told_without_one() -> None:
    flagged = [replace(bad(age), value=None, message="") for age in range(3)]
    (found,) = checks.decide(flagged, CheckConditions(), {})
    assert found.details.keys() == {"parameter", "source", "places"}


def test_amplifiers_of_one_exposure_do_not_add_up() -> None:
    assert checks.decide([bad(0, "1", amp) for amp in "ABCDEFGH"], CheckConditions(), {}) == []


@given(st.lists(st.booleans(), min_size=10, max_size=60))
def test_a_place_is_told_after_three_bad_ones_and_over_after_good_ones(history: list[bool]) -> None:
    settings = CheckConditions(bad=3, of_last=5)
    known: dict[str, OpenAlert] = {}
    for end in range(1, len(history) + 1):
        last = history[max(0, end - 5) : end][::-1]
        known = opened(checks.decide([bad(age) for age, is_bad in enumerate(last) if is_bad], settings, known))
        if sum(last) >= 3:
            assert known
        if sum(last) <= 1:
            assert not known


def test_every_other_exposure_bad_is_one_alert() -> None:
    settings = CheckConditions(bad=3, of_last=5)
    known: dict[str, OpenAlert] = {}
    openings = 0
    for end in range(5, 60):
        values = [bad(age) for age in range(5) if (end - age) % 2 == 0]
        found = opened(checks.decide(values, settings, known))
        openings += found.keys() > known.keys()
        known = found
    assert openings == 1


# -- sequences --------------------------------------------------------------------------------------------------------


def ladder(there: dict[int, set[str]], total: int = 5, **more: object) -> sequences.SequenceFacts:
    facts = sequences.SequenceFacts("vis", "20260115", "PTC", total, "flat", False, NOW - 4000.0, 2)
    facts.detectors = there
    for key, value in more.items():
        setattr(facts, key, value)
    return facts


def judged(
    facts: sequences.SequenceFacts, known: dict[str, OpenAlert] | None = None, cut_off: bool = False
) -> list[Finding]:
    return sequences.decide([facts], SequenceConditions(), NOW, (known or {}).__contains__, cut_off=cut_off)


BOTH = {"a", "b"}


def test_a_sequence_that_fell_quiet_is_told_with_what_is_missing() -> None:
    (found,) = judged(ladder({1: BOTH, 2: BOTH, 4: {"a"}}))
    assert found.alert == "sequence:vis:20260115:PTC"
    assert (
        "2 of 5 exposures are missing (number 3, 5) and detectors are missing [MISSDATA] of number 4" in found.message
    )
    assert (found.details["value"], found.details["limit"]) == (2, 5), "exposures that are whole"
    assert judged(ladder({1: BOTH}, newest_at=NOW - 60.0)) == []
    assert judged(ladder({n: BOTH for n in range(1, 6)})) == []
    assert judged(ladder({1: BOTH}, newest_at=NOW - 90_000.0)) == []


def test_a_cut_link_says_nothing_about_the_camera() -> None:
    hole = ladder({1: BOTH})
    assert judged(hole, cut_off=True) == []
    assert names(judged(hole, opened(judged(hole)), cut_off=True)) == ["sequence:vis:20260115:PTC"]


def test_a_sequence_that_is_complete_and_bad() -> None:
    whole = {n: BOTH for n in range(1, 6)}
    assert judged(ladder(whole, bad={1, 2})) == []
    (found,) = judged(ladder(whole, bad={1, 2, 3}))
    assert "complete, and 3 of its 5 exposures are bad" in found.message


def test_a_header_that_promises_millions_of_exposures_costs_nothing() -> None:
    (found,) = judged(ladder({1: BOTH}, total=2_000_000_000))
    assert len(found.message) < 500


def test_lone_exposures_without_detectors_are_one_alert() -> None:
    lone = [ladder({1: {"a"}}, total=1, lone=True, name=f"exposure {n}", expids={1: n}) for n in range(100, 140)]
    (found,) = sequences.decide(lone, SequenceConditions(), NOW, lambda _: False, cut_off=False)
    assert found.alert == "sequence:vis:20260115:exposures" and "100 (1 of 2)" in found.message


# -- backlog ----------------------------------------------------------------------------------------------------------


def test_a_backlog_grows_grave_and_a_route_of_the_morning_waits() -> None:
    def found(age_s: float, **more: bool) -> list[Finding]:
        backlog = transfer.Backlog("centre", 7, 3_000_000_000, NOW - age_s, **more)
        return transfer.decide_backlog([backlog], BacklogCondition(), NOW, {})

    assert found(600.0) == []
    (late,) = found(2000.0)
    assert late.severity == 1 and "7 frames (3 GB) are not delivered, the oldest for 33 min" in late.message
    assert found(20_000.0)[0].severity == 2
    assert found(20_000.0, at_the_end_of_night=True) == []
    assert "paused by a person" in found(2000.0, paused=True)[0].message
    many = transfer.Backlog("centre", 700, 1, NOW)
    assert names(transfer.decide_backlog([many], BacklogCondition(frames=500), NOW, {})) == ["transfer:backlog:centre"]


def test_files_in_quarantine_are_one_alert() -> None:
    assert transfer.decide_quarantined([], 1) == []
    (found,) = transfer.decide_quarantined(["b.fits", "a.fits"], 1)
    assert "2 files" in found.message and "a.fits, b.fits" in found.message
    assert found.details == {"value": 2, "limit": 1}


def test_words() -> None:
    assert [words_of_time(s) for s in (3.0, 119.0, 150.0, 7200.0, 200_000.0)] == [
        "3 s",
        "119 s",
        "2 min",
        "2.0 h",
        "2.3 days",
    ]
    assert [words_of_bytes(n) for n in (12, 4096, 3e9, 2.5e12)] == ["12 bytes", "4.1 kB", "3 GB", "2.5 TB"]
    assert listed([str(n) for n in range(12)]).endswith("9 and 2 more")
