"""Dashboards and rules ask only for measurements, tags and fields that docs/metrics.md promises."""

from __future__ import annotations

import json
import re

import yaml

from deploy.grafana.build import HERE
from deploy.grafana.queries import Found, dashboard_queries, rule_queries

METRICS = HERE.parent.parent / "docs" / "metrics.md"


def promised() -> dict[str, set[str]]:
    """Measurement -> every name that its line of the table has in code type; `site` is a tag of all of them."""
    lines = re.findall(r"^\| ((?:`\w+`(?:, )?)+)[^|]*\|(.*)$", METRICS.read_text(encoding="utf-8"), re.MULTILINE)
    names: dict[str, set[str]] = {}
    for measurements, rest in lines:
        for measurement in re.findall(r"`(\w+)`", measurements):
            names.setdefault(measurement, {"site"}).update(re.findall(r"`(\w+)`", rest))
    return names


def queries() -> list[Found]:
    found = [
        one
        for path in sorted((HERE / "json").glob("*.json"))
        for one in dashboard_queries(json.loads(path.read_text(encoding="utf-8")))
    ]
    rules = (HERE / "provisioning" / "alerting" / "rules.yaml").read_text(encoding="utf-8")
    return [*found, *rule_queries(yaml.safe_load(rules))]


def test_what_is_asked_for_is_documented() -> None:
    known, missing = promised(), set()
    for found in queries():
        text = re.sub(r' AS "[^"]+"', "", found.text)
        measurement = re.search(r'FROM "(\w+)"', text)
        if measurement is None:
            continue
        named = set(re.findall(r'"(\w+)"', text)) - {measurement[1]}
        if found.kind == "variable":
            named |= set(re.findall(r'KEY = "(\w+)"', text))
        missing |= {f"{measurement[1]}.{name}" for name in named - known.get(measurement[1], set())}
    assert sorted(missing) == []
