"""The provisioning files hold to what Grafana documents, and to what the dashboards are called."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy.grafana.build import HERE
from deploy.grafana.influxql import SOURCE_UID
from tests.unit.grafana.provisioning import Contacts, DataSources, Providers, Rules

PLACE = HERE / "provisioning"


def read(name: str) -> Any:
    return yaml.safe_load((PLACE / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["nightferry.yaml", "nightferry-influxdb2.yaml.example"])
def test_both_data_sources_are_the_one_that_dashboards_ask(name: str) -> None:
    (source,) = DataSources.model_validate(read(f"datasources/{name}")).datasources
    assert source.uid == SOURCE_UID
    secrets = source.secureJsonData.values()
    assert all("${NIGHTFERRY_INFLUX_" in secret for secret in secrets), "a secret stands in the file"


def test_version_2_is_asked_with_a_token_in_a_header() -> None:
    (source,) = DataSources.model_validate(read("datasources/nightferry-influxdb2.yaml.example")).datasources
    assert source.jsonData.httpHeaderName1 == "Authorization"
    assert source.secureJsonData["httpHeaderValue1"].startswith("Token ")


def test_only_one_data_source_is_read_by_grafana() -> None:
    assert [path.name for path in (PLACE / "datasources").glob("*.y*ml")] == ["nightferry.yaml"]


def test_dashboards_are_provided_from_one_directory() -> None:
    (provider,) = Providers.model_validate(read("dashboards/nightferry.yaml")).providers
    assert provider.options.path == "/etc/grafana/nightferry"


def test_the_contact_points_are_an_example_that_grafana_does_not_read_by_itself() -> None:
    contacts = Contacts.model_validate(read("alerting/contact-points.yaml.example"))
    names = {point.name for point in contacts.contactPoints}
    assert all(route.receiver in names for policy in contacts.policies for route in (policy, *policy.routes))
    assert [path.name for path in (PLACE / "alerting").glob("*.y*ml")] == ["rules.yaml"]


def test_rules_hold_to_the_documented_form_and_lead_to_a_panel() -> None:
    (group,) = Rules.model_validate(read("alerting/rules.yaml")).groups
    assert len({rule.uid for rule in group.rules}) == len(group.rules)
    for rule in group.rules:
        board = json.loads((HERE / "json" / f"{rule.dashboardUid}.json").read_text(encoding="utf-8"))
        assert rule.panelId in {panel["id"] for panel in board["panels"] if panel["type"] != "row"}, rule.uid
        assert rule.data[0].datasourceUid == SOURCE_UID
        assert rule.labels["severity"] in ("1", "2")


def test_rules_that_watch_for_silence_speak_when_nothing_comes_back() -> None:
    (group,) = Rules.model_validate(read("alerting/rules.yaml")).groups
    silent = {rule.uid for rule in group.rules if "silent" in rule.uid}
    assert silent == {rule.uid for rule in group.rules if rule.noDataState == "Alerting"}
    assert [rule.uid for rule in group.rules if rule.execErrState == "Alerting"] == ["nf-rule-conditions-silent"]


def test_no_text_of_a_rule_holds_a_dollar_that_grafana_would_take_for_its_environment() -> None:
    (group,) = Rules.model_validate(read("alerting/rules.yaml")).groups
    for rule in group.rules:
        assert "$" not in "".join([rule.title, *rule.annotations.values(), *rule.labels.values()])
        tags = set(re.findall(r"\.Labels\.(\w+)", rule.annotations["description"]))
        model = rule.data[0].model
        assert all(f'"{tag}"' in getattr(model, "query", "").partition("GROUP BY")[2] for tag in tags), rule.uid
