"""The committed dashboards: made by the program, valid for Grafana, and laid out so that a person can read them."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from deploy.grafana import build
from deploy.grafana.queries import dashboard_queries

FILES = sorted((build.HERE / "json").glob("*.json"))
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
SCHEMAS = json.loads((build.HERE / "schema" / "grafana-schema.json").read_text(encoding="utf-8"))
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS.keys())


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_every_committed_file_is_what_the_program_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--check"]) == 0, capsys.readouterr().out
    assert {path.stem for path in FILES} == {board.uid for board in build.BOARDS}


def test_a_changed_file_is_named_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "HERE", tmp_path)
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0
    (tmp_path / "json" / "nf-night.json").write_text("{}")
    capsys.readouterr()
    assert build.main(["--check"]) == 1
    assert capsys.readouterr().out == "not up to date: json/nf-night.json\n"


@each_dashboard
def test_a_dashboard_holds_to_the_schema_that_grafana_publishes(dashboard: dict[str, Any]) -> None:
    assert [error.message for error in Draft7Validator(SCHEMAS["dashboard"]).iter_errors(dashboard)] == []


@each_dashboard
def test_the_options_of_each_panel_hold_to_the_schema_of_its_kind(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        parts = {"options": panel["options"], "custom": panel["fieldConfig"]["defaults"].get("custom", {})}
        found = [error.message for error in Draft7Validator(SCHEMAS[panel["type"]]).iter_errors(parts)]
        assert found == [], panel["title"]


def test_the_schema_finds_a_mistake() -> None:
    dashboard = {**DASHBOARDS["nf-night"], "colour": "red"}
    assert not Draft7Validator(SCHEMAS["dashboard"]).is_valid(dashboard)
    panel = next(panel for panel in panels(dashboard) if panel["type"] == "stat")
    assert not Draft7Validator(SCHEMAS["stat"]).is_valid({"options": {**panel["options"], "size": 3}, "custom": {}})


@each_dashboard
def test_panels_fill_24_columns_and_never_lie_on_each_other(dashboard: dict[str, Any]) -> None:
    cells = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= 24
        cells[panel["id"]] = {
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        }
    assert len(cells) == len(dashboard["panels"]), "an id comes twice"
    assert not [pair for pair in combinations(cells, 2) if cells[pair[0]] & cells[pair[1]]]


@each_dashboard
def test_every_panel_says_what_it_shows_and_in_which_unit(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert len(panel["description"]) > 15 and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert panel["targets"]


@each_dashboard
def test_queries_name_only_variables_that_the_dashboard_has(dashboard: dict[str, Any]) -> None:
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    for found in dashboard_queries(dashboard):
        named = set(re.findall(r"\$(\w+)", found.text)) - {"timeFilter", "__interval", "__interval_ms"}
        assert named <= known, found.where
        if found.kind != "variable":
            assert "$timeFilter" in found.text, found.where
        assert "site" in named or found.where.endswith("variable site"), found.where


@each_dashboard
def test_dashboards_link_to_each_other_and_to_nights(dashboard: dict[str, Any]) -> None:
    links = dashboard["links"]
    assert links[0]["type"] == "dashboards" and links[0]["keepTime"] and links[0]["includeVars"]
    assert [link["title"] for link in links[1:]] == ["Tonight", "Last night", "The night before"]
    assert all(link["url"].startswith(f"/d/{dashboard['uid']}?from=now-") for link in links[1:])


@each_dashboard
def test_alerts_and_sequences_are_annotations(dashboard: dict[str, Any]) -> None:
    assert [annotation["name"] for annotation in dashboard["annotations"]["list"]] == ["Alerts", "Sequences"]


def test_uids_and_tags_are_what_links_and_rules_depend_on() -> None:
    assert sorted(DASHBOARDS) == [
        "nf-alerts",
        "nf-detectors",
        "nf-housekeeping",
        "nf-night",
        "nf-queues",
        "nf-transfer",
    ]
    assert all(
        name == dashboard["uid"] and dashboard["tags"] == ["nightferry"] for name, dashboard in DASHBOARDS.items()
    )
