"""Macros and variables are filled in as Grafana does."""

from __future__ import annotations

import pytest

from deploy.grafana.queries import Filling, Found, dashboard_queries, milliseconds, rounded_ms, rule_queries

HOUR = 3_600_000


def found(text: str, **more: int) -> Found:
    return Found("here", "A", "timeseries", text, **more)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "=~ /^.*$/"),
        ({"site": ["summit"]}, "=~ /^summit$/"),
        ({"site": ["summit", "centre"]}, "=~ /^(summit|centre)$/"),
        ({"site": ["a.b (c)"]}, r"=~ /^a\.b \(c\)$/"),
    ],
)
def test_a_variable_becomes_a_regular_expression_of_its_values(values: dict[str, list[str]], expected: str) -> None:
    assert Filling(0, HOUR, values).fill(found('"site" =~ /^$site$/')) == f'"site" {expected}'


def test_the_time_filter_holds_the_range_in_milliseconds() -> None:
    assert Filling(5, 7, {}).fill(found("WHERE $timeFilter")) == "WHERE time >= 5ms and time <= 7ms"


def test_a_rule_looks_back_from_the_end_of_the_range() -> None:
    filling = Filling(0, HOUR, {})
    assert filling.fill(found("$timeFilter", look_back_s=600)) == "time >= 3000000ms and time <= 3600000ms"


def test_an_interval_is_the_range_by_the_pixels_and_never_below_the_panels_own() -> None:
    night = Filling(0, 24 * HOUR, {})
    assert night.fill(found("time($__interval), $__interval_ms", width=12)) == "time(2m), 120000"
    assert night.fill(found("time($__interval)", width=12, min_interval_ms=600_000)) == "time(10m)"
    assert Filling(0, 300 * 24 * HOUR, {}).fill(found("$__interval", width=24)) == "3h"


@pytest.mark.parametrize(
    ("raw", "rounded"), [(0, 1), (9, 1), (10, 10), (47_000, 60_000), (HOUR, HOUR), (3 * 10**9, 30 * 24 * HOUR)]
)
def test_intervals_are_rounded_as_in_grafana(raw: float, rounded: int) -> None:
    assert rounded_ms(raw) == rounded


def test_an_interval_of_a_panel_is_read_and_nonsense_refused() -> None:
    assert milliseconds("10m") == 600_000
    assert milliseconds("500ms") == 500
    with pytest.raises(ValueError, match="'ten' is not an interval"):
        milliseconds("ten")


def test_queries_in_folded_rows_are_found_too() -> None:
    panel = {"id": 2, "type": "stat", "title": "p", "gridPos": {"w": 4}, "targets": [{"refId": "A", "query": "q"}]}
    row = {"id": 1, "type": "row", "title": "r", "panels": [panel]}
    document = {"uid": "u", "templating": {"list": []}, "annotations": {"list": []}, "panels": [row]}
    assert [(one.where, one.text) for one in dashboard_queries(document)] == [("u: p", "q")]


def test_expressions_of_rules_are_not_asked_of_influxdb() -> None:
    data = [
        {"refId": "A", "datasourceUid": "x", "relativeTimeRange": {"from": 60}, "model": {"query": "q"}},
        {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0}, "model": {}},
    ]
    document = {"groups": [{"rules": [{"uid": "r", "data": data}]}]}
    assert [(one.where, one.look_back_s) for one in rule_queries(document)] == [("r", 60)]
