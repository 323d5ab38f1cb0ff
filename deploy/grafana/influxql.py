"""InfluxQL as a query of the foundation SDK, which has no type of its own for InfluxDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE_UID: Final = "nightferry-influxdb"
Format = Literal["time_series", "table"]


def source() -> DataSourceRef:
    """The provisioned data source; its uid is fixed, so that dashboards, annotations and alert rules find it."""
    return DataSourceRef(type_val="influxdb", uid=SOURCE_UID)


@dataclass(frozen=True)
class InfluxQuery(Dataquery):
    """One raw InfluxQL query of a panel, as Grafana's InfluxDB plug-in keeps it."""

    text: str
    ref_id: str
    alias: str = ""
    result_format: Format = "time_series"

    def to_json(self) -> dict[str, object]:
        """What stands in the dashboard's JSON."""
        payload: dict[str, object] = {
            "datasource": source(),
            "query": self.text,
            "rawQuery": True,
            "refId": self.ref_id,
            "resultFormat": self.result_format,
        }
        if self.alias:
            payload["alias"] = self.alias
        return payload


@dataclass(frozen=True)
class Target(Builder[Dataquery]):
    """What the description of a panel says of a query: the SELECT, and how its series are named.

    Attributes
    ----------
    text : str
        InfluxQL with Grafana's macros and variables.
    alias : str
        Name of a series (`$tag_route`, `$col`); empty leaves it to Grafana. Tables take none.
    """

    text: str
    alias: str = ""
    ref_id: str = "A"
    result_format: Format = "time_series"

    def build(self) -> Dataquery:
        """The query as the SDK wants it."""
        return InfluxQuery(self.text, self.ref_id, self.alias, self.result_format)


def where(*conditions: str) -> str:
    """The WHERE of a query: its own conditions and the dashboard's time range.

    A name that is a variable of the dashboard (`$site`) becomes a match of that tag; everything else stands as it is.
    """
    parts = [f'"{text[1:]}" =~ /^{text}$/' if text.startswith("$") else text for text in conditions]
    return " WHERE " + " AND ".join([*parts, "$timeFilter"])


def known(field: str) -> str:
    """The condition that a point's newest version has a field: an older version's number may still stand there."""
    return rf'"missing" !~ /\b{field}\b/'


def by(*tags: str, fill: str = "none") -> str:
    """GROUP BY time and tags. `fill` is InfluxQL's: none, null, previous or a number."""
    names = "".join(f', "{tag}"' for tag in tags)
    return f" GROUP BY time($__interval){names} fill({fill})"


def by_tags(*tags: str) -> str:
    """GROUP BY tags alone: one row for each of them."""
    return " GROUP BY " + ", ".join(f'"{tag}"' for tag in tags)
