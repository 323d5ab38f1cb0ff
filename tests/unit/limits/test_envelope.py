"""The learned envelope: what it takes as usual, what not, and that a restart forgets nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.housekeeping.limits.engine import Engine
from services.housekeeping.limits.memory import KEPT, Memory
from services.housekeeping.limits.replay import rows_of
from services.housekeeping.samples import Samples
from tests.unit.limits.world import limits, rows, told

DAY = 86_400
NOW = "defaults: {persist: {samples: 1}, resolve_after_s: 0, stale_s: off}"


def night(number: int, centre: float, seed: int = 0, name: str = "T") -> Samples:
    noise = np.random.default_rng(seed + number).normal(centre, 0.1, 240)
    return rows({name: list(noise)}, number * DAY, 120)


def test_three_nights_teach_what_is_usual(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {unit: V, envelope: {warning: 8, error: 40}}", NOW))
    assert [one for number in range(3) for one in told(engine, night(number, 5.0))] == []
    assert told(engine, rows({"T": [5.2]}, 3 * DAY)) == []
    said = engine.feed(rows({"T": [6.5, 50.0, 5.0]}, 3 * DAY + 60))
    assert [(one.alert.rsplit(":", 1)[1], one.opened, one.severity) for one in said] == [
        ("envelope", True, 1),
        ("envelope", True, 2),
        ("envelope", False, 2),
    ]
    assert said[0].message.startswith("T 6.5 V is unusual (warning): 1")
    assert said[0].limit is not None
    assert 5.5 < said[0].limit < 6.4
    assert said[0].flag == "HK_UNUSUAL"


def test_nothing_is_said_before_enough_nights_are_known(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {envelope: {min_nights: 3}}", NOW))
    assert told(engine, night(0, 5.0)) == told(engine, night(1, 5.0)) == []
    assert told(engine, rows({"T": [99.0]}, 2 * DAY)) == []


def test_what_is_out_of_limits_or_not_in_force_is_not_learned(tmp_path: Path) -> None:
    rule = "T: {error: [0, 10], rails: [-99], envelope: {min_nights: 1}, when: {parameter: ON_, above: 0}, nan: off}"
    engine = Engine(limits(tmp_path, rule, NOW))
    values = np.random.default_rng(1).normal(5, 0.1, 400)
    values[::2] = 50.0
    values[1::8] = -99
    values[3::8] = 3.0
    power = np.ones(400)
    power[3::8] = 0
    engine.learn([rows({"T": list(values), "ON_": list(power)}, 0, 60)])
    watch = engine._watches["cam"]
    centre, scatter, nights = watch.envelope.usual
    column = watch.columns.places["T"]
    assert nights[column, 0] == 1
    assert math.isclose(centre[column, 0], 5, abs_tol=0.1)
    assert scatter[column, 0] < 0.2


def test_hours_and_states_have_envelopes_of_their_own(tmp_path: Path) -> None:
    rules = "H: {envelope: {hours: 12, min_nights: 1}}\nM: {envelope: {state: MODE, edges: [1.5], min_nights: 1}}"
    engine = Engine(limits(tmp_path, rules, NOW))
    rng = np.random.default_rng(2)
    seconds = np.arange(0, DAY, 300)
    mode = np.where(seconds % 600 == 0, 1.0, 2.0)
    table = {
        "H": np.where(seconds < DAY / 2, 0.0, 10.0) + rng.normal(0, 0.1, len(seconds)),
        "M": np.where(mode == 1, 0.0, 10.0) + rng.normal(0, 0.1, len(seconds)),
        "MODE": mode,
    }
    engine.learn([rows({name: list(column) for name, column in table.items()}, 0, 300)])
    assert told(engine, rows({"H": [0.1], "M": [0.1], "MODE": [1.0]}, DAY)) == []
    assert told(engine, rows({"H": [10.1], "M": [10.1], "MODE": [1.0]}, DAY + 60)) == [
        ("H:envelope", True, 1),
        ("M:envelope", True, 1),
    ]


def test_a_value_that_never_moved_and_a_coarse_converter(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "A: {envelope: {min_nights: 1}}\nB: {envelope: {min_nights: 1}}", NOW))
    coarse = np.round(np.random.default_rng(4).normal(3, 0.1, 400) * 2) / 2
    engine.learn([rows({"A": [32.0] * 400, "B": list(coarse)}, 0, 60)])
    assert told(engine, rows({"A": [32.0, 32.001, 33.0], "B": [3.0, 3.5, 4.0]}, DAY)) == [("A:envelope", True, 1)]


def test_a_new_level_becomes_usual_after_some_nights(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {envelope: {nights: 5}}", NOW))
    for number in range(5):
        engine.feed(night(number, 5.0))
    alerts = [bool(told(engine, night(number, 7.0))) for number in range(5, 12)]
    assert alerts[0]
    assert not alerts[-1]
    frozen = Engine(limits(tmp_path, "T: {envelope: {learn: off, min_nights: 1}}", NOW))
    frozen.learn([night(0, 5.0)])
    for number in range(1, 8):
        frozen.feed(night(number, 7.0))
    assert told(frozen, rows({"T": [5.0]}, 9 * DAY)) == [("T:envelope", False, 1)]


def test_memory_is_bounded_and_spread_over_the_whole_night() -> None:
    memory = Memory.fresh(1, 1, 3)
    here = np.zeros(1, dtype=np.int64)
    for value in range(10_000):
        memory.offer(here, here, np.array([float(value)]))
    kept = memory.kept[0, 0][: memory.count[0, 0]]
    assert KEPT // 2 <= len(kept) <= KEPT
    assert kept[0] == 0
    assert kept[-1] > 9000
    assert len(set(np.diff(kept))) == 1


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 599), max_size=4, unique=True))
def test_learning_does_not_depend_on_cuts_and_restarts(tmp_path: Path, seed: int, cuts: list[int]) -> None:
    book = limits(
        tmp_path, "T: {envelope: {warning: 3, min_nights: 1, hours: 6, nights: 3}, resolve_after_s: 600}", NOW
    )
    values = np.cumsum(np.random.default_rng(seed).normal(0, 0.3, 600))
    samples = rows({"T": list(values)}, 0, 700)
    whole = told(Engine(book), samples)
    engine, said = Engine(book), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 600], strict=True):
        said += told(engine, rows_of(samples, begin, end))
        engine = Engine(book, json.loads(json.dumps(engine.state())))
    assert said == whole
