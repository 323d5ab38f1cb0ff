"""What each kind of limit says, in the words a person would check."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from services.housekeeping.limits.codec import BadState
from services.housekeeping.limits.engine import Engine
from tests.unit.limits.world import START, S, limits, rows, told

NOW = "defaults: {persist: {samples: 1}, resolve_after_s: 0, hysteresis: 0, stale_s: off}"


def test_a_sensor_that_flaps_on_the_edge_is_one_alert(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {warning: [-100, -90], hysteresis: 1, resolve_after_s: 60}"))
    flapping = [-89.9 + 0.3 * (-1) ** i for i in range(3600)]
    first = engine.feed(rows({"T": flapping}))
    assert [(one.alert, one.opened) for one in first] == []  # never three samples in a row
    bursts = [-89.0 if i % 10 < 5 else -90.4 for i in range(3600)]
    said = engine.feed(rows({"T": bursts}, 3600))
    over = engine.feed(rows({"T": [-95.0] * 120}, 7200))
    assert [one.opened for one in (*said, *over)] == [True, False]
    assert said[0].message == "T -89 is above -90 (warning)"
    assert said[0].flag == "HK_OOL"
    assert said[0].time_ns == START + 3602 * S
    assert over[0].time_ns == START + 7260 * S
    assert over[0].message == "T is back inside its limits: -95"


def test_a_warning_that_grows_is_the_same_alert_with_another_severity(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {unit: degC, performance: [0, 10], safe: [-5, 15]}", NOW))
    said = engine.feed(rows({"T": [5, 12, 16, 12, 5]}))
    assert {one.alert for one in said} == {"housekeeping:cam:T:high"}
    assert [(one.opened, one.severity) for one in said] == [(True, 1), (True, 2), (True, 1), (False, 1)]
    assert (said[1].value, said[1].limit, said[1].unit) == (16.0, 15.0, "degC")


def test_the_sides_have_severities_of_their_own(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {error: [0, 10], severity: {error_low: 0, error_high: 2}}", NOW))
    assert told(engine, rows({"T": [-1, 5, 11]})) == [("T:high", True, 2)]
    assert engine.verdicts()[("cam", "T")].verdict == "error"


def test_relative_to_a_parameter_and_to_a_number(tmp_path: Path) -> None:
    engine = Engine(
        limits(
            tmp_path,
            """
            OD: {mode: relative, commanded: OD_CMD, error: [-0.2, 0.2], unit: V, nan: {samples: 1}}
            RD: {mode: relative, commanded: 3, error: [-0.2, 0.2]}
            """,
            NOW,
        )
    )
    said = engine.feed(rows({"OD": [26, 26.2, 26.3], "OD_CMD": [math.nan, 26, math.nan], "RD": [3.2, 2.8, 3.0]}))
    assert [one.alert.rsplit(":", 2)[1:] for one in said] == [["OD", "nan"], ["OD", "nan"], ["OD", "high"]]
    assert said[0].message == "OD has no commanded value to be compared with"
    assert said[2].message == "OD 26.3 V is above 26.2 V (error, commanded 26 V)"
    bands = engine.bands("cam", "OD", START)
    assert bands is not None
    assert (bands.error_low, bands.error_high, bands.commanded) == (25.8, 26.2, 26.0)


def test_identity_of_numbers_and_words(tmp_path: Path) -> None:
    engine = Engine(
        limits(tmp_path, "FPGA: {mode: identity, equal: 2.75}\nMODE: {mode: identity, equal: [run, idle]}", NOW)
    )
    said = engine.feed(rows({"FPGA": [2.75, 2.5, 2.75]}, texts={"MODE": ["run", "FAULT", "idle"]}))
    assert [one.message for one in said if one.opened] == [
        "FPGA is 2.5, must be 2.75",
        "MODE is FAULT, must be run or idle",
    ]
    assert len(said) == 4
    number, word = (engine.verdicts()["cam", name] for name in ("FPGA", "MODE"))
    assert (number.value, number.text) == (2.75, None)
    assert math.isnan(word.value) and word.text == "idle"


def test_when_silences_and_ends_what_was_open(tmp_path: Path) -> None:
    rule = "V: {error: [10, 12], when: {parameter: POWER, above: 20, settle_s: 3}}"
    engine = Engine(limits(tmp_path, rule, NOW))
    power = [0, 0, 28, 28, 28, 28, 28, 28, 0]
    said = engine.feed(rows({"V": [0] * 7 + [5, 0], "POWER": power}))
    assert [(one.opened, (one.time_ns - START) // S) for one in said] == [(True, 5), (False, 8)]


def test_a_when_that_is_not_known_holds(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "V: {error: [10, 12], when: {parameter: POWER, above: 20}}", NOW))
    assert told(engine, rows({"V": [0]})) == [("V:low", True, 2)]


def test_rails_frozen_and_converter(tmp_path: Path) -> None:
    rules = """
    A: {warning: [-120, -80], rails: [-246.86]}
    B: {stuck_s: 60}
    C: {converter: [0, 4095]}
    """
    engine = Engine(limits(tmp_path, rules, NOW))
    said = engine.feed(rows({"A": [-100] + [-246.86] * 70, "B": [1.0] * 71, "C": [100.0] * 70 + [4095.0]}))
    assert [one.alert.split(":")[2:] for one in said] == [["A", "railed"], ["B", "railed"], ["C", "railed"]]
    assert said[1].message == "B has been exactly 1 for 60 s"


def test_no_number_has_its_own_patience(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {warning: [0, 1], nan: {samples: 3, of: 4}, resolve_after_s: 2}"))
    assert told(engine, rows({"T": [0.5, math.nan, math.nan, 0.5, math.inf]})) == [("T:nan", True, 1)]
    assert told(engine, rows({"T": [0.5] * 3}, 5)) == [("T:nan", False, 1)]


@pytest.mark.parametrize(
    ("slope", "expected"), [(0.9, []), (1.2, [("T:rate", True, 1)]), (-3.0, [("T:rate", True, 2)])]
)
def test_rate_through_noise_steps_and_spikes(
    tmp_path: Path, slope: float, expected: list[tuple[str, bool, int]]
) -> None:
    rule = "T: {rate: {warning: 1, error: 2, per: minute, over_s: 120}, nan: off}"
    engine = Engine(limits(tmp_path, rule))
    seconds = np.arange(600)
    values = np.round(slope * seconds / 60 + np.random.default_rng(3).normal(0, 0.03, 600), 1)
    values[::97] = 500  # single spikes
    assert told(engine, rows({"T": list(values)})) == expected


def test_units_that_disagree_are_told_once_and_not_compared(tmp_path: Path) -> None:
    book = limits(tmp_path, "T: {unit: degC, error: [-110, -90]}", NOW)
    engine = Engine(book)
    said = engine.feed(rows({"T": [173.0] * 50}, units={"T": "K"}))
    assert [one.message for one in said] == ["T is in K, its limits are in degC: not compared"]
    assert list(book.unit_mistakes("cam", {"T": "K"}, START)) == [
        f"{book.path}:5: sources.cam.parameters.T: the limit of T is in degC, the source gives K"
    ]
    assert told(Engine(book), rows({"T": [-100.0]}, units={"T": "deg C"})) == []


def test_a_limit_taken_out_of_the_file_ends_its_alert(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "T: {warning: [0, 1]}\nU: {warning: [0, 1]}", NOW))
    engine.feed(rows({"T": [5], "U": [5]}))
    changed = Engine(limits(tmp_path, "U: {warning: [0, 1]}", NOW), json.loads(json.dumps(engine.state())))
    changed = Engine(limits(tmp_path, "U: {warning: [0, 1]}", NOW), json.loads(json.dumps(changed.state())))
    assert changed.held() == {"housekeeping:cam:T:high", "housekeeping:cam:U:high"}
    over = changed.tick(START + 9 * S)
    assert [(one.alert, one.opened, one.time_ns) for one in over] == [("housekeeping:cam:T:high", False, START + 9 * S)]
    assert changed.tick(START + 10 * S) == []
    assert told(changed, rows({"U": [0.5]}, 2)) == [("U:high", False, 1)]


def test_the_dated_entry_in_force_decides(tmp_path: Path) -> None:
    rule = "T: {dated: [{from: 2026-01-01, warning: [0, 1]}, {from: '2026-01-01T00:00:05Z', warning: [0, 3]}]}"
    engine = Engine(limits(tmp_path, rule, NOW))
    said = engine.feed(rows({"T": [2.0] * 15}, -5))
    assert [(one.opened, (one.time_ns - START) // S) for one in said] == [(True, 0), (False, 5)]
    assert engine.bands("cam", "T", START - S).warning_high is None  # type: ignore[union-attr]
    assert engine.bands("cam", "T", START + 6 * S).warning_high == 3.0  # type: ignore[union-attr]


def test_its_own_name_goes_before_a_pattern(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "HK_*: {warning: [0, 1]}\nHK_B: {warning: [0, 9]}", NOW))
    assert told(engine, rows({"HK_A": [5], "HK_B": [5], "FREE": [99]})) == [("HK_A:high", True, 1)]
    assert set(engine.verdicts()) == {("cam", "HK_A"), ("cam", "HK_B")}


def test_a_new_parameter_in_mid_night_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "'*': {warning: [0, 1], resolve_after_s: 2}", NOW))
    assert told(engine, rows({"B": [5]})) == [("B:high", True, 1)]
    assert told(engine, rows({"A": [7], "B": [5]}, 1)) == [("A:high", True, 1)]
    assert told(engine, rows({"B": [0.5] * 5}, 2)) == [("B:high", False, 1)]


@pytest.mark.parametrize("damage", ["version", "names", "data", "sources"])
def test_a_damaged_state_is_refused(tmp_path: Path, damage: str) -> None:
    book = limits(tmp_path, "T: {warning: [0, 1]}", NOW)
    engine = Engine(book)
    engine.feed(rows({"T": [5]}))
    state = json.loads(json.dumps(engine.state()))
    if damage == "version":
        state["version"] = 99
    elif damage == "names":
        state["sources"]["cam"]["track"]["names"] = ["T", "U"]
    elif damage == "data":
        state["sources"]["cam"]["track"]["value"]["data"] = "!!"
    else:
        state["sources"] = 3
    with pytest.raises(BadState):
        Engine(book, state)


def test_a_pattern_for_numbers_does_not_mean_words(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "'*': {warning: [5, 9], nan: {samples: 1}}\nT: {nan: {samples: 1}}", NOW))
    assert told(engine, rows({"A": [6.0]}, texts={"MODE": ["run"], "T": ["ERR"]})) == [("T:nan", True, 1)]
    assert set(engine.verdicts()) == {("cam", "A"), ("cam", "T")}
    assert told(engine, rows({"A": [6.0], "T": [1.0]}, 1)) == [("T:nan", False, 1)]
    assert engine.verdicts()[("cam", "T")].text is None


def test_a_parameter_that_is_looked_at_may_look_at_another(tmp_path: Path) -> None:
    rules = "A: {error: [0, 1], when: {parameter: X_1, above: 0}}\nX_*: {error: [0, 1], when: {parameter: Y, above: 0}}"
    engine = Engine(limits(tmp_path, rules, NOW))
    assert told(engine, rows({"A": [5], "X_1": [5], "Y": [0]})) == [("A:high", True, 2)]
    assert told(engine, rows({"A": [5], "X_1": [5], "Y": [1]}, 1)) == [("X_1:high", True, 2)]
