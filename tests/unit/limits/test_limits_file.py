"""The limits file: every mistake at its line, and what defaults, sources and dates add up to."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import BadSettings
from services.housekeeping.limits.book import load_limits
from services.housekeeping.limits.settings import SeveritySettings
from services.housekeeping.limits.units import same_unit
from tests.unit.limits.world import START, limits

GRAVE = {"error_low", "error_high", "rate_error", "envelope_error", "identity"}  # docs/housekeeping.md says so

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "deploy" / "config" / "limits").glob("*.yaml"))


def test_what_the_dated_entries_share_need_not_be_a_whole_rule(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    rule = "{mode: relative, commanded: 3, dated: [{from: 2026-01-01, warning: [-1, 1]}]}"
    path.write_text(f"sources: {{cam: {{parameters: {{T: {rule}}}}}}}\n")
    load_limits(path)


def test_errors_wake_a_person_and_the_rest_does_not() -> None:
    said = {name: SeveritySettings().of(name) for name in SeveritySettings.model_fields}
    both = {name for way in ("rise", "fall") for name in (f"{way}_warning", f"{way}_error")}
    assert {name for name, severity in said.items() if severity == 2} - both == GRAVE
    assert set(said.values()) == {1, 2}


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        ("{warning: [5, 1]}", "warning: expected the low end below the high end, got [5, 1]"),
        ("{warning: [null, null]}", "warning: expected at least one end that is not open"),
        ("{warning: {low: 1, hi: 2}}", "warning: expected [low, high], or {low: …, high: …}; null is an open end"),
        ("{warning: [.nan, 1]}", "warning: expected a finite number"),
        ("{warnin: [0, 1]}", "warnin: unknown key; did you mean warning?"),
        ("{warning: [0, 1], performance: [0, 1]}", "'warning' and 'performance' are two words for one range"),
        ("{performance: [0, 10], safe: [2, 8]}", "the safe (error) range [2, 8] must hold the performance"),
        ("{warning: [0, 10], hysteresis: 5}", "the hysteresis leaves nothing of the range [0, 10]"),
        ("{warning: [0, 10], hysteresis: 50 %}", "hysteresis: expected a share of the range"),
        ("{stale_s: -3}", "stale_s: expected seconds, or off, got -3"),
        ("{stale_s: on}", "stale_s: expected seconds, or off, got True"),
        ("{mode: relative, error: [1, 2]}", "mode relative needs 'commanded'"),
        ("{mode: relative, commanded: 3}", "mode relative needs a range of deviations"),
        ("{mode: identity}", "mode identity needs 'equal'"),
        ("{mode: identity, equal: 1, warning: [0, 1]}", "mode identity takes no ranges"),
        ("{equal: 1}", "'equal' needs mode: identity"),
        ("{persist: {samples: 5, of: 3}}", "persist: expected 'of' from 5 on"),
        ("{persist: {samples: 65}}", "persist.samples: expected a number up to 64, got 65"),
        ("{rate: {per: day, warning: 1}}", "rate.per: expected 'second', 'minute' or 'hour', got 'day'"),
        ("{rate: {over_s: 5}}", "rate: expected warning, error, or both"),
        ("{when: {parameter: X}}", "when: expected above, below, or both"),
        ("{when: {parameter: X, above: 3, below: 2}}", "when: expected 'above' to be less than 'below'"),
        ("{envelope: {state: A}}", "envelope: 'state' and 'edges' belong together"),
        ("{envelope: {min_nights: 11}}", "envelope: expected min_nights up to nights"),
        ("{dated: [{from: soon}]}", "dated.0.from: expected a date such as 2026-01-31"),
        ("{dated: [{from: 2026-02-01}, {from: 2026-01-01}]}", "expected the entries of 'dated' in the order"),
        ("{severity: {stale: 3}}", "severity.stale: expected a number up to 2, got 3"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, rule: str, mistake: str) -> None:
    with pytest.raises(BadSettings) as caught:
        limits(tmp_path, f"T: {rule}")
    (line,) = caught.value.mistakes
    assert line.startswith(f"{tmp_path}/limits.yaml:5: sources.cam.parameters.T")
    assert mistake in line


def test_all_mistakes_come_at_once_and_other_files_too(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as caught:
        limits(tmp_path, "A: {equal: 1}\nB: {mode: identity}\nA2: {dated: [{from: 2026-01-01, equal: 1}]}")
    assert [line.split(":")[1] for line in caught.value.mistakes] == ["5", "6", "7"]
    path = tmp_path / "other.yaml"
    path.write_text("sources: {cam: {silent_s: 900, parameters: {A: {stale_s: 60}, A: {}}}}", encoding="utf-8")
    with pytest.raises(BadSettings, match="the key stands twice"):
        load_limits(path)
    path.write_text("sources: {cam: {silent_s: 900, parameters: {A: {stale_s: 60}}}}", encoding="utf-8")
    with pytest.raises(BadSettings, match="expected up to 60, the shortest stale_s"):
        load_limits(path)


def test_every_level_adds_to_the_one_above(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(
        """
defaults: {persist: {samples: 7}, severity: {nan: 2, stale: 2}, rate: {warning: 1}}
sources:
  a*:
    defaults: {stale_s: 30, severity: {railed: 0}}
    commanded: {'V_?': 5, 'V_*': 6}
    parameters:
      V_*: {mode: relative, performance: [-1, null], nan: off}
      T: {rate: off, dated: [{from: 2026-01-01, safe: {high: 3}, stale_s: off}]}
""",
        encoding="utf-8",
    )
    book = load_limits(path)
    rule = book.rule("ab", "V_1", START)
    assert rule is not None
    assert (rule.persist.samples, rule.stale_s, rule.nan, rule.commanded) == (7, 30.0, None, 5.0)
    assert (rule.severity.nan, rule.severity.stale, rule.severity.railed, rule.severity.identity) == (2, 2, 0, 2)
    assert book.rule("ab", "V_long", START).commanded == 6.0  # type: ignore[union-attr]
    dated, before = book.rule("ab", "T", START), book.rule("ab", "T", START - 1)
    assert dated is not None
    assert before is not None
    assert (dated.error[1], dated.stale_s, dated.rate) == (3.0, None, None)
    assert before.stale_s == 30.0
    assert book.rule("b", "T", START) is None
    assert book.source("ab").silent_s == 30.0  # type: ignore[union-attr]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid(path: Path) -> None:
    assert load_limits(path).sources


def test_the_worked_example_of_the_docs_is_valid(tmp_path: Path) -> None:
    page = (EXAMPLES[0].parents[3] / "docs" / "housekeeping.md").read_text(encoding="utf-8")
    example = page.split("## Limits", 1)[1].split("```yaml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "example.yaml").write_text(example, encoding="utf-8")
    assert load_limits(tmp_path / "example.yaml").source("roe1") is not None


def test_units_by_what_they_mean() -> None:
    assert same_unit("deg C", "degC")
    assert same_unit("Celsius", "°C")
    assert same_unit("arcsec", '"')
    assert not same_unit("mA", "A")
    assert not same_unit("mbar", "Mbar")
    assert not same_unit("degC", "K")
