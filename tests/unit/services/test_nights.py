"""The end of night's decisions: which night, what is missing, where every frame is, what an audit proves."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.instrument import load_instruments
from services.nights.calendar import current_nights, newest_over
from services.nights.delivery import deliveries
from services.nights.disk import Unrecorded, of_the_night
from services.nights.evidence import (
    Audit,
    BundleFacts,
    Chain,
    NightFacts,
    Odd,
    Step,
    archived_step,
    packed_step,
    received_step,
    route_steps,
)
from services.nights.exchange import Reply, answers_text, read_answers, state_of
from services.nights.gaps import exposure_gaps, night_gaps, partial_exposures, range_text
from transfer.night import Gap, PartialExposure
from transfer.night_answer import NightAnswer

WHEN = dt.datetime(2026, 1, 16, 16, tzinfo=dt.UTC)


def test_the_newest_night_that_is_over_is_taken() -> None:
    on_record = {"decam": ["20260113", "20260114", "20260115"], "efosc2": ["20260114"]}
    assert newest_over(on_record, {"decam": "20260115", "efosc2": "20260115"}) == "20260114"
    assert newest_over(on_record, {"decam": "20260116", "efosc2": "20260116"}) == "20260115"
    assert newest_over(on_record, {"decam": "20260113", "efosc2": "20260113"}) is None
    assert newest_over({}, {}) is None


def test_a_night_is_over_when_it_is_over_for_every_camera() -> None:
    on_record = {"west": ["20260115"], "east": ["20260114", "20260115"]}
    assert newest_over(on_record, {"west": "20260115", "east": "20260116"}) == "20260114"


def test_nights_change_at_noon_of_the_site_and_not_of_the_host() -> None:
    instruments = load_instruments()
    noon_on_la_silla = dt.datetime(2026, 1, 15, 16, 43)  # UTC; longitude -70.7 degrees is 4.72 h
    before = current_nights(["efosc2"], instruments, noon_on_la_silla - dt.timedelta(minutes=5))
    after = current_nights(["efosc2"], instruments, noon_on_la_silla + dt.timedelta(minutes=5))
    assert (before["efosc2"], after["efosc2"]) == ("20260114", "20260115")
    unknown = current_nights(["gone"], instruments, dt.datetime(2026, 1, 15, 12, 1))
    assert unknown == {"gone": "20260115"}


@given(st.sets(st.integers(0, 60), min_size=1))
def test_gaps_and_numbers_make_the_whole_range(numbers: set[int]) -> None:
    gaps = exposure_gaps("simcam", numbers)
    missing = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    whole = set(range(min(numbers), max(numbers) + 1))
    if len(whole - numbers) <= 10 * len(numbers):
        assert missing == whole - numbers
    else:
        assert gaps == ()


def test_numbers_that_are_times_have_no_gaps() -> None:
    assert exposure_gaps("clock", [20260115190238, 20260115190455, 20260115191002]) == ()


def row(**values: Any) -> Any:
    base = {"sha256": "0" * 64, "name": "a.fits", "instrument": "hsc", "state": "seen", "reason": None, "mtime": 0.0}
    return SimpleNamespace(**{**base, **values})


def test_gaps_are_told_by_instrument() -> None:
    frames = [row(instrument=name, expid=n) for name, n in (("b", 3), ("b", 7), ("a", 1), ("a", 3), ("a", 3))]
    gaps = night_gaps(frames)
    assert gaps == (Gap("a", 2, 2), Gap("b", 4, 6))
    assert range_text(gaps) == "a 2; b 4-6"
    assert range_text(()) == ""


def test_exposures_that_lack_detectors_are_listed() -> None:
    def frame(expid: int, *detectors: str) -> Any:
        return row(expid=expid, identity={"detectors": detectors, "expected_detectors": 3})

    frames = [frame(1, "1"), frame(1, "2"), frame(1, "3"), frame(2, "1", "2", "3"), frame(3, "2"), frame(3, "1")]
    assert partial_exposures(frames) == (PartialExposure("hsc", 3, ("1", "2"), 3),)


def bundle(state: str, lossless: bool = True, route: str = "centre") -> Any:
    return row(bundle=f"B-{state}", state=state, lossless=lossless, route=route, reason="it rained")


def state_on(frame: Any, carried: Iterable[Any], lossless: bool = True) -> str:
    (one,) = deliveries([frame], {frame.sha256: {"centre": lossless}}, carried)
    return one.state


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], "moving"),
        (["packed"], "moving"),
        (["sent"], "moving"),
        (["held"], "stuck"),
        (["refused"], "stuck"),
        (["refused", "sent"], "moving"),
        (["refused", "accepted"], "delivered"),
    ],
)
def test_where_a_frame_is(states: list[str], expected: str) -> None:
    assert state_on(row(), [bundle(state) for state in states]) == expected


def test_a_quick_look_is_no_delivery_where_the_pixels_are_wanted() -> None:
    lossy = [bundle("accepted", lossless=False)]
    assert state_on(row(), lossy) == "moving"
    assert state_on(row(), lossy, lossless=False) == "delivered"
    assert state_on(row(), [bundle("accepted", route="elsewhere")]) == "moving"


def test_a_frame_that_was_set_aside_moves_no_more() -> None:
    assert state_on(row(state="quarantined", reason="gone"), []) == "stuck"
    assert state_on(row(state="quarantined", reason="gone"), [bundle("accepted")]) == "delivered"


def test_broken_files_belong_to_the_night_in_which_they_were_written() -> None:
    frames = [row(mtime=100_000.0), row(mtime=120_000.0)]

    def file(at_s: float) -> Unrecorded:
        return Unrecorded(f"/camera/{at_s}.fits", 1, int(at_s * 1e9), "incomplete")

    inside = [file(at_s) for at_s in (96_500.0, 110_000.0, 123_500.0)]
    outside = [file(at_s) for at_s in (96_000.0, 124_000.0)]
    assert set(of_the_night(inside + outside, frames)) == set(inside)
    assert of_the_night(inside, []) == ()


# -- evidence ---------------------------------------------------------------------------------------------------------

GOOD_FACTS = BundleFacts(
    bundle="B",
    route="centre",
    state="accepted",
    manifest="1" * 64,
    entry_packed="2" * 64,
    recorded_manifest="1" * 64,
    recorded_packed="2" * 64,
    linked=True,
    receipt_manifest="1" * 64,
    receipt_verdict="accepted",
)


def test_a_whole_chain_has_no_hole() -> None:
    assert [step.ok for step in route_steps("centre", [GOOD_FACTS])] == [True, True]
    assert packed_step(replace(GOOD_FACTS, linked=None, recorded_packed=None)).ok is True
    assert received_step(replace(GOOD_FACTS, receipt_verdict="duplicate")).ok is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"manifest": None}, "manifest is gone"),
        ({"manifest": "3" * 64}, "not the one on record"),
        ({"entry_packed": None}, "does not name the frame"),
        ({"recorded_packed": "3" * 64}, "another packed sha256"),
        ({"linked": False}, "not on record"),
    ],
)
def test_a_bundle_that_proves_nothing(change: dict[str, Any], words: str) -> None:
    step = packed_step(replace(GOOD_FACTS, **change))
    assert step.ok is False and words in step.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"receipt_verdict": None, "state": "sent"}, "no receipt"),
        ({"receipt_manifest": "3" * 64}, "another manifest"),
        ({"receipt_verdict": "corrupt"}, "corrupt"),
    ],
)
def test_a_receipt_that_proves_nothing(change: dict[str, Any], words: str) -> None:
    step = received_step(replace(GOOD_FACTS, **change))
    assert step.ok is False and words in step.detail


def test_the_accepted_bundle_counts_else_the_newest() -> None:
    refused = replace(GOOD_FACTS, bundle="R", state="refused", receipt_verdict="refused")
    assert all(step.ok for step in route_steps("centre", [GOOD_FACTS, refused]))
    assert [step.ok for step in route_steps("centre", [refused])] == [True, False]
    (nowhere,) = route_steps("centre", [])
    assert (nowhere.ok, nowhere.waits) == (False, True)
    sent = replace(GOOD_FACTS, state="sent", manifest=None, receipt_manifest=None, receipt_verdict=None)
    (on_its_way,) = route_steps("centre", [sent])
    assert (on_its_way.ok, on_its_way.waits, on_its_way.detail) == (False, True, "on its way: B is sent")
    held = route_steps("centre", [replace(sent, state="held")])
    assert not any(step.waits for step in held), "a held bundle waits for a person, and is told as a hole"


def test_what_the_night_answer_proves() -> None:
    facts = NightFacts("summit-20260115-1", frozenset({"a", "b"}), {"centre": "holes"}, {"centre": {"b": "gone"}})
    assert archived_step("a", None).ok is None
    assert archived_step("a", facts).ok is True
    assert archived_step("b", facts) == Step("archived", False, "gone", "centre")
    assert archived_step("c", facts).ok is False
    assert archived_step("a", replace(facts, verdicts={}, holes={})).ok is None
    assert archived_step("a", replace(facts, verdicts={"centre": "refused"}, holes={"centre": {}})).ok is False


def test_an_audit_is_clean_without_holes_and_odd_files() -> None:
    def chain(*oks: bool | None) -> Chain:
        return Chain("a", "0" * 64, "simcam", 1, tuple(Step("raw", ok, "") for ok in oks))

    assert Audit("20260115", "centre", (chain(True, None),), (), ()).clean
    assert Audit("20260115", "centre", (chain(True, False), chain(True)), (), ()).holes == 1
    assert not Audit("20260115", "centre", (chain(True),), (Odd("/x", "stray"),), ()).clean


# -- answers ----------------------------------------------------------------------------------------------------------


def reply(route: str, verdict: str | None, sent: bool = True) -> Reply:
    if verdict is None:
        return Reply(route, sent, None)
    return Reply(route, sent, NightAnswer("summit", "20260115", 1, "0" * 64, verdict, None, (), (), 1, WHEN))


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ([], "sealed"),
        (["verified"], "verified"),
        (["verified", None], "sent"),
        (["verified", "holes"], "holes"),
        (["holes", "refused"], "refused"),
    ],
)
def test_the_worst_word_on_a_night_counts(verdicts: list[str | None], state: str) -> None:
    replies = {str(number): reply(str(number), verdict) for number, verdict in enumerate(verdicts)}
    assert state_of(replies) == state
    assert state_of({"a": reply("a", None, sent=False)}) == "sealed"


def test_answers_are_kept_by_route() -> None:
    replies = {"a": reply("a", "verified"), "b": reply("b", None)}
    assert read_answers(answers_text(replies)) == {"a": replies["a"].answer}
    assert answers_text({"b": replies["b"]}) is None
    assert read_answers(None) == {} == read_answers('{"a": {"kind": "night_answer"}}')


def test_no_module_of_the_night_needs_the_centre() -> None:
    """The summit host has no Redis, no astropy: the end of night must not ask for them."""
    code = (
        "import sys, services.cli.endofnight, services.nights.endofnight, services.nights.report\n"
        "import services.nights.telescope_audit\n"
        "print([name for name in ('redis', 'rq', 'astropy', 'sep', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
