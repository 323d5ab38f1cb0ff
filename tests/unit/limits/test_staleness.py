"""Silence: of a parameter, of a source, from the beginning, with clocks that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.housekeeping.limits.engine import Engine
from services.housekeeping.samples import Samples
from tests.unit.limits.world import START, S, limits, rows

RULES = "A: {stale_s: 60, resolve_after_s: 20}\nB: {stale_s: 60, resolve_after_s: 20, severity: {stale: 2}}"


def tick(engine: Engine, second: float) -> list[tuple[str, bool, int]]:
    said = engine.tick(START + round(second * S))
    return [(one.alert.split(":", 2)[2], one.opened, one.severity) for one in said]


def again(engine: Engine, path: Path) -> Engine:
    return Engine(limits(path, RULES), json.loads(json.dumps(engine.state())))


def test_a_source_that_never_spoke_is_one_alert(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, RULES))
    assert tick(engine, 0) == []
    engine = again(engine, tmp_path)
    assert tick(engine, 60) == []
    assert tick(engine, 61) == [("*:stale", True, 2)]
    engine = again(engine, tmp_path)
    assert engine.held() == {"housekeeping:cam:*:stale"}
    assert tick(engine, 3600) == []


def test_a_source_of_which_only_patterns_are_known_may_be_silent_too(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "HK_*: {stale_s: 60}"))
    assert tick(engine, 0) == []
    assert tick(engine, 61) == [("*:stale", True, 1)]


def test_one_parameter_falls_silent_and_comes_back_for_good(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, RULES))
    engine.feed(rows({"A": [1.0], "B": [1.0]}))
    said = []
    for second in range(1, 400):
        names = ["A"] if not 100 <= second < 103 and second < 200 else ["A", "B"]
        engine.feed(rows({name: [float(second)] for name in names}, second))
        said += [(second, *one) for one in tick(engine, second)]
    # a few words at 100 s are not enough to call it healthy
    assert said == [(61, "B:stale", True, 2), (220, "B:stale", False, 2)]


def test_a_silent_parameter_stands_as_gravely_as_its_rule_says(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, f"{RULES}\nC: {{stale_s: off}}"))
    engine.feed(rows({"A": [1.0], "B": [1.0], "C": [1.0]}))
    engine.feed(rows({"C": [1.0]}, 61))
    tick(engine, 61)
    stands = {name: (one.verdict, one.kinds) for (_, name), one in engine.verdicts().items()}
    assert stands == {"A": ("warning", ("stale",)), "B": ("error", ("stale",)), "C": ("ok", ())}


def test_a_silent_source_is_told_once_and_not_for_each_parameter(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, RULES))
    engine.feed(rows({"A": [1.0], "B": [1.0]}))
    said = [(second, *one) for second in range(0, 300, 5) for one in tick(engine, second)]
    assert said == [(65, "*:stale", True, 2)]
    engine.feed(rows({"A": [1.0], "B": [1.0]}, 300))
    assert tick(engine, 301) == []
    engine.feed(rows({"A": [1.0], "B": [1.0]}, 321))
    assert tick(engine, 322) == [("*:stale", False, 2)]


@pytest.mark.parametrize("stamp_s", [0.0, 7200.0])
def test_rows_whose_clock_stands_still_or_runs_ahead_do_not_hide_a_silence(tmp_path: Path, stamp_s: float) -> None:
    engine = Engine(limits(tmp_path, RULES))
    said = []
    for second in range(0, 200, 5):
        if stamp_s == 0.0 or second < 100:
            engine.feed(rows({"A": [1.0], "B": [1.0]}, stamp_s))
        said += tick(engine, second)
    assert said == [("*:stale", True, 2)]


def test_our_own_clock_set_back_does_not_blind(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, RULES))
    engine.feed(rows({"A": [1.0], "B": [1.0]}, 3600))
    assert tick(engine, 3600) == []
    assert tick(engine, 0) == []
    said = [(second, *one) for second in range(3605, 3700, 5) for one in tick(engine, second)]
    assert said == [(3665, "*:stale", True, 2)]


def test_empty_cells_are_silence_where_no_number_is_no_alert(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "A: {stale_s: 60}\nB: {stale_s: 60, nan: off}"))
    said = []
    for second in range(0, 120, 5):
        engine.feed(rows({"A": [1.0], "B": [float("nan") if second else 1.0]}, second))
        said += tick(engine, second)
    assert said == [("B:stale", True, 1)]


def test_no_rows_change_nothing(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, RULES))
    empty = rows({"A": [1.0]})
    assert engine.feed(Samples("cam", ("A",), empty.times_ns[:0], empty.values[:0])) == []
    assert engine.feed(Samples("unknown", ("A",), empty.times_ns, empty.values)) == []
