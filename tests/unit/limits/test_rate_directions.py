"""A rise and a fall are conditions of their own where the file says so: power that is switched on is not power lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from services.cli.main import cli
from services.core.errors import BadSettings
from services.housekeeping.alerting import _unit_of_trend
from services.housekeeping.limits.codec import decode, encode
from services.housekeeping.limits.engine import Engine
from services.housekeeping.limits.recorded import read_recorded
from services.housekeeping.limits.replay import parts_of, replay, rows_of
from services.housekeeping.limits.rule import Rule
from tests.unit.limits.world import START, limits, rows, told

HEAD = "defaults: {resolve_after_s: 20, nan: off, stale_s: off}"
ON_AND_OFF = [0.0] * 60 + [28.0] * 120 + [0.0] * 120  # V at 1 Hz


def rule_of(directory: Path, rule: str, head: str = "") -> Rule:
    found = limits(directory, f"V: {rule}", head).rule("cam", "V", START)
    assert found is not None
    return found


def severities(rule: Rule) -> list[int]:
    return [rule.severity.of(f"{way}_{level}") for way in ("rate", "rise", "fall") for level in ("warning", "error")]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("{error: 8}", ["V:rate", "V:rate"]),
        ("{error: 8, rise: off}", ["V:fall"]),
        ("{fall: {error: 8}}", ["V:fall"]),
        ("{error: 8, fall: off}", ["V:rise"]),
        ("{error: 8, rise: {error: 80}}", ["V:fall"]),
        ("{rise: {error: 8}, fall: {error: 8}}", ["V:rise", "V:fall"]),
    ],
)
def test_switched_on_and_tripped(tmp_path: Path, rate: str, expected: list[str]) -> None:
    engine = Engine(limits(tmp_path, f"V: {{rate: {rate}}}", HEAD))
    said = told(engine, rows({"V": ON_AND_OFF}))
    assert [name for name, opened, _ in said if opened] == expected
    assert [name for name, opened, _ in said if not opened] == expected


def test_what_is_said_of_a_fall(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "V: {unit: V, rate: {warning: 1, error: 8, rise: off}}", HEAD))
    slow = [28.0] * 60 + [28 - 0.1 * i for i in range(60)] + [22.0] * 120
    warned, over = engine.feed(rows({"V": slow}))
    assert (warned.alert, warned.severity, warned.flag) == ("housekeeping:cam:V:fall", 1, "HK_RATE")
    assert warned.message.startswith("V falls by ")
    assert " V/min, faster than 1 V/min (warning); it is 2" in warned.message
    assert warned.value is not None
    assert (warned.value < -1, warned.limit, warned.unit, _unit_of_trend(warned)) == (True, -1.0, "V/min", "V")
    assert (over.opened, over.message) == (False, "V falls fast no more: 22 V")


def test_a_rise_that_is_muted_hides_no_fall(tmp_path: Path) -> None:
    """Both are open at a time, for nobody has seen that the rise is over: two names, which are acknowledged singly."""
    engine = Engine(limits(tmp_path, "V: {rate: {rise: {warning: 8}, fall: {error: 8}, over_s: 30}}", HEAD))
    engine.feed(rows({"V": [0.0] * 40 + [28.0] * 20}))
    engine.feed(rows({"V": [0.0] * 20}, 60))
    assert engine.held() == {"housekeeping:cam:V:rise", "housekeeping:cam:V:fall"}
    verdict = engine.verdicts()["cam", "V"]
    assert (verdict.verdict, verdict.kinds) == ("error", ("rise", "fall"))


def test_severity_is_the_direction_s_else_that_of_the_rate_and_the_nearest_level_decides(tmp_path: Path) -> None:
    rate = "rate: {warning: 1, error: 2, rise: {error: 9}}"
    assert severities(rule_of(tmp_path, f"{{{rate}}}")) == [1, 2, 1, 2, 1, 2]
    assert severities(rule_of(tmp_path, f"{{{rate}, severity: {{rise_error: 0}}}}")) == [1, 2, 1, 0, 1, 2]
    above = "defaults: {severity: {rise_error: 0, fall_warning: 2}}"
    assert severities(rule_of(tmp_path, f"{{{rate}, severity: {{nan: 2}}}}", above)) == [1, 2, 1, 0, 2, 2]
    assert severities(rule_of(tmp_path, f"{{{rate}, severity: {{rate_error: 1}}}}", above)) == [1, 1, 1, 1, 2, 1]


@pytest.mark.parametrize(
    ("rate", "rise", "fall"),
    [
        ("{warning: 1, error: 3, rise: off}", (None, None), (1, 3)),
        ("{warning: 1, error: 3, rise: {warning: 2}}", (2, 3), (1, 3)),
        ("{warning: 1, error: 3, rise: {warning: null, error: 9}}", (None, 9), (1, 3)),
        ("{rise: {error: 3}}", (None, 3), (None, None)),
        ("{warning: 1, rise: {error: 3}, fall: {warning: 2}}", (1, 3), (2, None)),
    ],
)
def test_what_stands_beside_holds_for_a_direction_that_does_not_say_it(
    tmp_path: Path, rate: str, rise: Any, fall: Any
) -> None:
    found = rule_of(tmp_path, f"{{rate: {rate}}}").rate
    assert found is not None
    assert (found.levels("rate"), found.levels("rise"), found.levels("fall")) == ((None, None), rise, fall)


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        ("{rate: {rise: off}}", "rate: expected warning, error, or both for rise, fall, or both"),
        (
            "{rate: {warning: 1, rise: off, fall: off}}",
            "rate: expected warning, error, or both for rise, fall, or both",
        ),
        ("{rate: {rise: {}}}", "rate.rise: expected warning, error, or both; or off"),
        ("{rate: {rise: {warning: -1}}}", "rate.rise.warning: expected a number greater than 0, got -1"),
        ("{rate: {rise: {eror: 1}}}", "rate.rise.eror: unknown key; did you mean error?"),
        ("{rate: {error: 3, rise: {warning: 8}}}", "expected the error from the warning on of rise: 3 is below 8"),
        (
            "{rate: {warning: 1, rise: {warning: 8}, fall: {warning: 2}}}",
            "'warning' is used by neither direction: rise and fall say their own, or are off",
        ),
        ("{rate: {error: 3, fall: off, rise: {error: 8}}}", "'error' is used by neither direction"),
        (
            "{rate: {error: 3}, severity: {rise_error: 0}}",
            "severity rise_error needs a limit of its own for that direction: rate: {rise: …}",
        ),
        ("{mode: identity, equal: 1, rate: {error: 3, rise: off}}", "mode identity takes no ranges, rate"),
    ],
)
def test_a_contradiction_is_one_line_with_its_place(tmp_path: Path, rule: str, mistake: str) -> None:
    with pytest.raises(BadSettings) as caught:
        limits(tmp_path, f"V: {rule}")
    (line,) = caught.value.mistakes
    assert line.startswith(f"{tmp_path}/limits.yaml:5: sources.cam.parameters.V")
    assert mistake in line


def test_a_state_of_before_goes_on_and_an_alert_whose_rate_got_directions_ends(tmp_path: Path) -> None:
    old = Engine(limits(tmp_path, "T: {rate: {error: 8}}\nV: {rate: {error: 8}}", HEAD))
    fast = [0.0] * 60 + [30.0] * 40
    assert told(old, rows({"T": fast, "V": fast})) == [("T:rate", True, 2), ("V:rate", True, 2)]
    state = json.loads(json.dumps(old.state()))
    track = state["sources"]["cam"]["track"]
    track["severity"] = encode(decode(track["severity"], np.int8, 2)[:7])  # as it was before there were directions
    engine = Engine(limits(tmp_path, "T: {rate: {error: 8}}\nV: {rate: {error: 8, rise: off}}", HEAD), state)
    later = told(engine, rows({"T": [30.0] * 120, "V": [30.0] * 120}, 100))
    assert sorted(later) == [("T:rate", False, 2), ("V:rate", False, 2)]
    assert engine.held() == frozenset()


def test_a_rise_that_is_open_ends_when_its_limit_is_taken_away(tmp_path: Path) -> None:
    engine = Engine(limits(tmp_path, "V: {rate: {rise: {error: 8}}}", HEAD))
    assert told(engine, rows({"V": [0.0] * 60 + [28.0] * 40})) == [("V:rise", True, 2)]
    engine = Engine(limits(tmp_path, "V: {warning: [0, 99]}", HEAD), json.loads(json.dumps(engine.state())))
    assert told(engine, rows({"V": [28.0] * 60}, 100)) == [("V:rise", False, 2)]


def test_units_and_rails_silence_a_direction_as_they_do_a_rate(tmp_path: Path) -> None:
    rule = "V: {unit: V, rails: [-99], rate: {fall: {error: 8}}, resolve_after_s: 0}"
    engine = Engine(limits(tmp_path, rule, HEAD))
    railed = told(engine, rows({"V": [28.0] * 60 + [-99.0] * 60}))
    assert railed == [("V:railed", True, 1)]
    engine = Engine(limits(tmp_path, rule, HEAD))
    assert told(engine, rows({"V": [28.0] * 60 + [0.0] * 60}, units={"V": "mV"})) == [("V:identity", True, 2)]


def test_check_shows_what_holds_in_each_direction(tmp_path: Path) -> None:
    book = limits(tmp_path, "V: {rate: {warning: 1, error: 3, rise: {error: 90}}}\nT: {rate: {error: 3}}")
    shown = CliRunner().invoke(cli, ["limits", "check", str(book.path)], standalone_mode=False).stdout
    assert "rate rise 1 / 90, fall 1 / 3 per minute" in shown
    assert "rate 3 per minute" in shown
    result = CliRunner().invoke(cli, ["limits", "check", str(book.path), "--json"], standalone_mode=False)
    volt, warm = (json.loads(line) for line in result.stdout.splitlines())
    assert volt["rate"]["rise"] == {"warning": 1.0, "error": 90.0}
    assert warm["rate"]["rise"] == warm["rate"]["fall"] == {"warning": None, "error": 3.0}
    assert (volt["severity"]["rise_error"], volt["severity"]["fall_warning"]) == (2, 1)


def test_on_a_recorded_night_of_a_drive_rises_and_falls_together_are_the_rate(
    shared_data: Path, tmp_path: Path
) -> None:
    """Of every parameter: rows beyond the limit one way, and the other way, are those beyond it either way."""
    name = "20130102.DRIVE_CONTROL_TRACKING_POSITION.fits"
    recorded = read_recorded("cam", shared_data / "housekeeping" / "fact_drive" / name, None, time.time_ns(), [])
    parts = [rows_of(one, 0, 1500) for one in recorded][:1]
    found = {}
    for kind, rate in (("rate", "error: 0.5"), ("rise", "rise: {error: 0.5}"), ("fall", "fall: {error: 0.5}")):
        book = limits(tmp_path, f"'*': {{rate: {{{rate}}}, persist: {{samples: 1}}, resolve_after_s: 0}}", HEAD)
        engine = Engine(book)
        said = replay(engine, book, parts_of(book, parts))
        assert {one.kind for one in said} == {kind}
        found[kind] = {name: beyond for (_, name), (_, beyond) in engine.tally().items()}
    assert min(sum(found["rise"].values()), sum(found["fall"].values())) > 10
    assert {name: found["rise"][name] + found["fall"][name] for name in found["rate"]} == found["rate"]
