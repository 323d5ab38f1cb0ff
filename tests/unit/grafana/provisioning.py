"""What Grafana documents of its provisioning files, as strict models: no Grafana server can be asked here."""

# ruff: noqa: N815  the names are Grafana's
from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Uid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Duration = Annotated[str, Field(pattern=r"^\d+[smhd]$")]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DataSource(Strict):
    name: Text
    uid: Uid
    type: Literal["influxdb"]
    access: Literal["proxy"]
    url: Text
    user: str = ""
    isDefault: bool
    editable: bool
    jsonData: InfluxJson
    secureJsonData: dict[Literal["password", "httpHeaderValue1"], str]


class InfluxJson(Strict):
    version: Literal["InfluxQL"]
    dbName: Text
    httpMode: Literal["GET", "POST"]
    timeInterval: Duration
    httpHeaderName1: Literal["Authorization"] | None = None


class DataSources(Strict):
    apiVersion: Literal[1]
    datasources: list[DataSource]


class Provider(Strict):
    name: Text
    orgId: int
    folder: Text
    type: Literal["file"]
    disableDeletion: bool
    allowUiUpdates: bool
    updateIntervalSeconds: Annotated[int, Field(gt=10)]
    options: ProviderOptions


class ProviderOptions(Strict):
    path: Annotated[str, Field(pattern="^/")]
    foldersFromFilesStructure: bool


class Providers(Strict):
    apiVersion: Literal[1]
    providers: list[Provider]


class Evaluator(Strict):
    type: Literal["gt", "lt"]
    params: list[int | float]


class Condition(Strict):
    evaluator: Evaluator


class Source(Strict):
    type: Literal["influxdb", "__expr__"]
    uid: Text


class InfluxModel(Strict):
    refId: Literal["A"]
    rawQuery: Literal[True]
    resultFormat: Literal["time_series"]
    query: Text
    datasource: Source
    intervalMs: int
    maxDataPoints: int


class Reduce(Strict):
    refId: Literal["B"]
    datasource: Source
    type: Literal["reduce"]
    expression: Literal["A"]
    reducer: Literal["last"]
    settings: dict[Literal["mode"], Literal["dropNN"]]


class Threshold(Strict):
    refId: Literal["C"]
    datasource: Source
    type: Literal["threshold"]
    expression: Literal["B"]
    conditions: Annotated[list[Condition], Field(min_length=1, max_length=1)]


class Range(Strict):
    from_: Annotated[int, Field(alias="from", ge=0)]
    to: Literal[0]


class Query(Strict):
    refId: Literal["A", "B", "C"]
    relativeTimeRange: Range
    datasourceUid: Text
    model: InfluxModel | Reduce | Threshold


class Rule(Strict):
    uid: Uid
    title: Text
    condition: Literal["C"]
    for_: Annotated[Duration, Field(alias="for")]
    noDataState: Literal["NoData", "Alerting", "OK"]
    execErrState: Literal["Error", "Alerting", "OK"]
    labels: dict[str, str]
    annotations: dict[Literal["summary", "description"], str]
    dashboardUid: Uid
    panelId: int
    data: Annotated[list[Query], Field(min_length=3, max_length=3)]


class Group(Strict):
    orgId: int
    name: Text
    folder: Text
    interval: Duration
    rules: Annotated[list[Rule], Field(min_length=1)]


class Rules(Strict):
    apiVersion: Literal[1]
    groups: list[Group]


class Receiver(Strict):
    uid: Uid
    type: Literal["email", "webhook"]
    settings: dict[str, Any]


class ContactPoint(Strict):
    orgId: int
    name: Text
    receivers: list[Receiver]


class Route(Strict):
    receiver: Text
    object_matchers: list[Annotated[list[str], Field(min_length=3, max_length=3)]] = []
    group_by: list[str] = []
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None


class Policy(Route):
    orgId: int
    routes: list[Route] = []


class Contacts(Strict):
    apiVersion: Literal[1]
    contactPoints: list[ContactPoint]
    policies: list[Policy]
