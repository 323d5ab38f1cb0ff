"""What decides whether limits are asked must not blind them; what nobody has any more is not missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import BadSettings
from services.housekeeping.limits.engine import Engine
from tests.unit.limits.world import START, S, limits, rows

RULES = "V: {warning: [0, 30], stale_s: 60, when: {parameter: sw, above: 0.5}}"


def ticks(engine: Engine, second: float) -> list[str]:
    return [one.alert.split(":", 2)[2] for one in engine.tick(START + round(second * S))]


@pytest.mark.parametrize("how", ["silent", "nan"])
def test_a_switch_that_dies_while_it_says_off_is_told(tmp_path: Path, how: str) -> None:
    engine = Engine(limits(tmp_path, RULES))
    said: list[str] = []
    for second in range(0, 200, 5):
        values = {"V": [99.0], "sw": [0.0 if second < 50 else float("nan")]}
        if how == "silent" and second >= 50:
            del values["sw"]
        said += [one.alert.split(":", 2)[2] for one in engine.feed(rows(values, second))]
        said += ticks(engine, second)
    assert said == ["sw:stale" if how == "silent" else "sw:nan"]


def test_a_switch_that_is_spelt_wrong_is_told(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, RULES.replace("parameter: sw", "parameter: sww")))
    said = []
    for second in range(0, 100, 5):
        engine.feed(rows({"V": [1.0], "sw": [1.0]}, second))
        said += ticks(engine, second)
    assert said == ["sww:stale"]


def test_a_rule_of_its_own_may_say_that_a_switch_speaks_seldom(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, f"{RULES}\nsw: {{stale_s: off}}"))
    for second in range(0, 200, 5):
        engine.feed(rows({"V": [1.0]} | ({"sw": [1.0]} if second == 0 else {}), second))
        assert ticks(engine, second) == []


def test_a_column_of_years_ago_is_not_missed_unless_it_is_named(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "named: {stale_s: 60}\nHK_*: {stale_s: 60}"))
    engine.feed(rows({"named": [1.0], "HK_old": [1.0], "HK_new": [1.0]}, -400 * 86_400))
    engine.feed(rows({"HK_new": [1.0]}, 0))
    assert ticks(engine, 1) == ["named:stale"]


def test_a_source_of_long_ago_is_one_alert_at_a_first_start(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "A: {stale_s: 60}\nB: {stale_s: 60}"))
    engine.feed(rows({"A": [1.0], "B": [1.0]}, -86_400))
    assert ticks(engine, 1) == ["*:stale"]


def test_a_source_that_a_pattern_covers_is_missed_when_it_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    book = limits(tmp_path, "t: {stale_s: 60}")
    path.write_text(path.read_text().replace("cam:", "'roe*':"))
    engine = Engine(type(book)(path, {"roe*": book.sources["cam"]}))
    engine.expect(["roe1", "other"])
    assert ticks(engine, 0) == []
    assert ticks(engine, 61) == ["*:stale"]


@pytest.mark.parametrize(
    "rule",
    [
        "t: {warning: [0, 1], when: {parameter: y, above: .nan}}",
        "t: {warning: [0, 1], when: {parameter: y, below: .inf}}",
        "t: {envelope: {state: y, edges: [.nan]}}",
        f"t: {{warning: [0, 1{'0' * 400}]}}",
    ],
)
def test_numbers_that_are_none_are_mistakes_with_their_line(tmp_path: Path, rule: str) -> None:
    with pytest.raises(BadSettings, match=r"limits\.yaml:5: sources\.cam\.parameters\.t\."):
        limits(tmp_path, rule)
