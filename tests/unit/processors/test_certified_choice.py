"""Which master wins when persons have certified some: dates, temperatures, and the words that explain it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.identity import FrameIdentity
from processors.masters.associate import (
    CalibrationKey,
    Kind,
    MasterRef,
    Role,
    Validity,
    calibration_key,
    explain,
    key_of,
    matching_masters,
)
from tests.builders import identity


@dataclass(frozen=True, slots=True)
class Cooled(FrameIdentity):
    """A frame whose header tells the detector's temperature."""

    temperature_c: float | None = None


SCIENCE = identity(obstype="science", filter="g", night="20260110", date_obs="2026-01-11T04:00:00", exptime_s=30.0)
NIGHT = SCIENCE.night


def master(path: str, day: int, kind: Kind = "flat", *validity: Validity, **changes: Any) -> MasterRef:
    key = replace(key_of(kind, SCIENCE), night=f"202601{day:02}")
    fields = {name: changes.pop(name) for name in ("temperature_c", "withdrawn") if name in changes}
    return MasterRef(replace(key, **changes), f"2026-01-{day:02}T22:00:00", path, path * 8, validity, **fields)


def flat_of(*masters: MasterRef, **more: Any) -> str | None:
    ref = matching_masters(SCIENCE, masters, **more).flat
    return None if ref is None else ref.path


def test_a_certified_master_that_covers_the_night_beats_a_nearer_one() -> None:
    near, far = master("near", 10), master("far", 3, "flat", Validity("20260101", "20260131"))
    assert flat_of(near, far) == "far"
    assert flat_of(near, master("old", 1, "flat", Validity("20260101", "")), max_age_days=1) == "old"


def test_a_master_whose_dates_do_not_cover_the_night_does_not_count_at_all() -> None:
    ended = master("ended", 10, "flat", Validity("20260101", "20260109"))
    to_come = master("to_come", 10, "flat", Validity("20260111", ""))
    assert flat_of(ended, to_come) is None
    assert flat_of(ended, to_come, master("plain", 2)) == "plain"
    twice = master("twice", 2, "flat", Validity("20260101", "20260105"), Validity("20260110", "20260110"))
    assert flat_of(twice, master("plain", 10)) == "twice"


def test_a_copy_lends_a_master_to_a_night_and_takes_it_from_none() -> None:
    lent = master("lent", 8, "flat", Validity(NIGHT, NIGHT, copied=True))
    assert flat_of(lent, master("own", 10)) == "lent"
    elsewhere = master("elsewhere", 9, "flat", Validity("20260120", "20260120", copied=True))
    assert flat_of(elsewhere) == "elsewhere"


def test_among_certified_ones_the_nearest_wins_and_a_dome_flat_is_farther() -> None:
    ever = Validity("20260101")
    assert flat_of(master("a", 8, "flat", ever), master("b", 9, "flat", ever)) == "b"
    assert flat_of(master("dome", 9, "flat", ever), master("sky", 8, "skyflat", ever)) == "sky"
    assert flat_of(master("dome", 9, "flat", ever), master("night_sky", 8, "superflat", ever)) == "night_sky"


def test_a_withdrawn_master_is_never_chosen() -> None:
    assert flat_of(master("bad", 10, "flat", Validity(NIGHT), withdrawn=True), master("good", 6)) == "good"


def test_certifying_does_not_make_a_master_of_another_filter_suit() -> None:
    assert flat_of(master("red", 10, "flat", Validity(NIGHT), filter="r")) is None


@pytest.mark.parametrize(("tolerance_c", "expected"), [(2.0, "cold"), (5.0, "warm")])
def test_biases_and_darks_share_the_temperature_where_it_is_known(tolerance_c: float, expected: str) -> None:
    fields = {name: getattr(SCIENCE, name) for name in FrameIdentity.__dataclass_fields__}
    target = Cooled(**{**fields, "temperature_c": -100.0})
    cold, warm = master("cold", 6, "bias", temperature_c=-101.0), master("warm", 10, "bias", temperature_c=-96.0)
    made = matching_masters(target, [cold, warm], temperature_tolerance_c=tolerance_c)
    assert made.bias is not None and made.bias.path == expected
    nobody_knows = master("nobody_knows", 10, "bias")
    made = matching_masters(target, [cold, nobody_knows], temperature_tolerance_c=tolerance_c)
    assert made.bias == nobody_knows
    assert matching_masters(target, [replace(warm, key=key_of("flat", target))], temperature_tolerance_c=1.0).flat


def test_every_candidate_is_explained() -> None:
    masters = [
        master("near", 10),
        master("dome", 8, "flat", Validity("20260101", "20260131")),
        master("sky", 7, "skyflat", Validity("20260101", "20260131")),
        master("red", 10, filter="r"),
        master("ended", 10, "flat", Validity("20250101", "20250131")),
        master("withdrawn", 10, withdrawn=True),
        master("dark", 10, "dark"),
        replace(master("old", 1, "bias"), date_obs="2025-11-01T00:00:00"),
        master("slow", 10, "bias", readout="slow"),
        master("other", 10, "bias", detector="2"),
        MasterRef(CalibrationKey("bias", "elsewhere", NIGHT, "normal"), SCIENCE.date_obs, "elsewhere"),
    ]
    told = {candidate.ref.path: candidate.reason for candidate in explain(SCIENCE, masters)}
    assert told == {
        "sky": "certified for 20260101..20260131, 3.2 days away",
        "dome": "2.2 days away, the chosen one 3.2 (a dome flat counts as 3 days farther)",
        "near": "not certified for 20260110, another is",
        "red": "filter is r, the frame's g",
        "ended": "certified for 20250101..20250131, not for 20260110",
        "withdrawn": "withdrawn",
        "dark": "a science frame is reduced without a dark",
        "old": "71.2 days away, more than 30",
        "slow": "readout is slow, the frame's normal",
        "other": "of another detector, 2",
    }
    lines = [candidate.line() for candidate in explain(SCIENCE, masters)]
    assert [line for line in lines if line.startswith("chosen")] == [
        "chosen skyflat   sky: certified for 20260101..20260131, 3.2 days away"
    ]
    assert explain(SCIENCE, masters)[-1].record()["reason"]
    fields = {name: getattr(SCIENCE, name) for name in FrameIdentity.__dataclass_fields__}
    (warm,) = explain(Cooled(**{**fields, "temperature_c": -100.0}), [master("b", 10, "bias", temperature_c=-90.0)])
    assert warm.reason == "temperature differs by +10.0 °C, more than 5"


NIGHTS = st.sampled_from([f"202601{day:02}" for day in range(6, 15)])
VALIDITIES = st.lists(st.builds(Validity, NIGHTS, NIGHTS | st.just(""), st.booleans()), max_size=2).map(tuple)
KINDS = st.sampled_from(("bias", "dark", "flat", "skyflat", "superflat", "fringe", "badpix"))
MASTERS = st.builds(
    lambda number, day, kind, validity, withdrawn, temperature_c, filter: master(
        f"m{number}", day, kind, *validity, withdrawn=withdrawn, temperature_c=temperature_c, filter=filter
    ),
    st.integers(0, 10**6),
    st.integers(1, 31),
    KINDS,
    VALIDITIES,
    st.booleans(),
    st.none() | st.floats(-120, -80),
    st.sampled_from(["g", "r"]),
)
NEEDED = st.sampled_from([("bias", "flat"), ("bias", "flat", "badpix"), ("bias", "dark", "flat", "fringe", "badpix")])


@given(st.lists(MASTERS, max_size=12, unique_by=lambda m: m.path), NEEDED, st.randoms())
def test_the_explanation_agrees_with_the_choice_and_neither_with_the_order(
    masters: list[MasterRef], needs: tuple[Role, ...], random: Any
) -> None:
    made = matching_masters(SCIENCE, masters, needs=needs)
    told = explain(SCIENCE, masters, needs=needs)
    assert {candidate.role: candidate.ref for candidate in told if candidate.chosen} == made.chosen
    assert len(told) == len(masters) and all(candidate.reason for candidate in told)
    shuffled = list(masters)
    random.shuffle(shuffled)
    assert matching_masters(SCIENCE, shuffled, needs=needs) == made
    assert explain(SCIENCE, shuffled, needs=needs) == told
    for ref in made.chosen.values():
        assert not ref.withdrawn
        if not ref.certified_for(NIGHT):
            rivals = [m for m in masters if m.key.kind == ref.key.kind and m.certified_for(NIGHT) and not m.withdrawn]
            assert all(m.key.filter != ref.key.filter for m in rivals)


def test_keys_of_kinds_without_an_obstype_of_their_own() -> None:
    assert calibration_key(SCIENCE) is None
    assert key_of("superflat", SCIENCE) == replace(key_of("flat", SCIENCE), kind="superflat")
    assert (key_of("fringe", SCIENCE).filter, key_of("badpix", SCIENCE).filter) == ("g", "")
