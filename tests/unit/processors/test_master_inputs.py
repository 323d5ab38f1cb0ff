"""Which inputs spoil a master, and that it is said why."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.masters.inputs import Level, choose_inputs

BIAS = Level("b", 0.3, 0.0, amplifiers=(("1 A", 0.2), ("1 B", 0.4)))
DARK = Level("d", 5.0, 0.0, exptime_s=300.0, amplifiers=(("1 A", 4.0), ("1 B", 6.0)))
FLAT = Level("f", 30000.0, 0.0, exptime_s=8.0, amplifiers=(("1 A", 29000.0), ("1 B", 31000.0)))
USUAL = {"bias": BIAS, "dark": DARK, "flat": FLAT}


def told(kind: str, *odd: Level, usual: int = 4) -> dict[str, str]:
    """What is rejected among good frames and odd ones, and why."""
    levels = [replace(USUAL[kind], name=f"good{number}") for number in range(usual)] + list(odd)
    chosen, rejected = choose_inputs(kind, levels)
    assert sorted([levels[number].name for number in chosen] + [r.name for r in rejected]) == sorted(
        level.name for level in levels
    )
    return {rejection.name: rejection.reason for rejection in rejected}


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("bias", {"median": 30.3}, "level +30.0 ADU from the others"),
        ("bias", {"amplifiers": (("1 A", 0.2), ("1 B", -12.0))}, "amplifier 1 B: level -12.4 ADU from the others"),
        ("bias", {"exptime_s": 5.0}, "exposed for 5 s"),
        ("bias", {"saturated": 0.03}, "3.0 % of the pixels are saturated"),
        ("bias", {"median": math.nan}, "its level is not a number"),
        ("bias", {"problem": "HDU 1: truncated"}, "HDU 1: truncated"),
        ("dark", {"exptime_s": 600.0}, "exposure time 600 s, the others' 300 s"),
        ("dark", {"exptime_s": 0.0}, "its exposure time is 0"),
        ("dark", {"median": 400.0}, "level +395.0 e- from the others"),
        ("flat", {"median": 400.0}, "level 400 e-, less than 500"),
        ("flat", {"median": 3000.0}, "level 3000 e-, the others' 30000"),
        (
            "flat",
            {"amplifiers": (("1 A", 29000.0), ("1 B", 9000.0))},
            "amplifier 1 B: 0.30 of the level, 1.03 in the others",
        ),
    ],
)
def test_an_odd_frame_is_left_out_with_its_reason(kind: str, changes: dict[str, object], reason: str) -> None:
    odd = replace(USUAL[kind], name="odd", **changes)  # type: ignore[arg-type]
    assert told(kind, odd) == {"odd": reason}


def test_two_frames_cannot_outvote_each_other() -> None:
    assert told("bias", replace(BIAS, name="odd", median=30.3), usual=1) == {}


def test_flats_of_different_levels_go_together() -> None:
    levels = [replace(FLAT, name=str(level), median=level, amplifiers=()) for level in (9000.0, 20000.0, 38000.0)]
    assert told("flat", *levels) == {}


@given(
    st.sampled_from(["bias", "dark", "flat", "skyflat", "superflat", "fringe"]),
    st.lists(st.tuples(st.floats(), st.floats(), st.floats(), st.floats()), max_size=7),
)
def test_any_levels_are_either_chosen_or_rejected_with_words(
    kind: str, numbers: list[tuple[float, float, float, float]]
) -> None:
    levels = [
        Level(str(n), median, saturated, exptime_s=time, amplifiers=(("1 A", amplifier),))
        for n, (median, saturated, time, amplifier) in enumerate(numbers)
    ]
    chosen, rejected = choose_inputs(kind, levels)
    assert len(chosen) + len(rejected) == len(levels)
    assert all(rejection.reason for rejection in rejected)
    assert all(math.isfinite(levels[number].median) for number in chosen)
