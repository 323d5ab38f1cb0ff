"""A dashboard: its variables, annotations, links and panels, laid out on 24 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana.influxql import source
from deploy.grafana.panels import Panel, build

_COLUMNS: Final = 24
# Noon to noon: twelve hours back, the start of that day (its end, when Grafana rounds the end of a range), noon.
NIGHTS: Final = (("Tonight", "now-12h/d+12h"), ("Last night", "now-36h/d+12h"), ("The night before", "now-60h/d+12h"))


@dataclass(frozen=True)
class Variable:
    """A variable with the values of a tag; every variable can hold several values, or all.

    Attributes
    ----------
    name : str
        Its name, and the tag's.
    measurement : str
        Where the values are looked for; empty for all measurements.
    within : sequence of str
        Variables that narrow the values.
    """

    name: str
    label: str
    measurement: str = ""
    within: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """A headline with panels under it, from left to right."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


@dataclass(frozen=True)
class Board:
    """The description of one dashboard."""

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    variables: Sequence[Variable]
    refresh: str = "30s"


SITE: Final = Variable("site", "Site")
INSTRUMENT: Final = Variable("instrument", "Instrument", "qa", ("site",))


def make(description: Board) -> dashboard.Dashboard:
    """The dashboard as the SDK's model."""
    made = (
        board.Dashboard(description.title)
        .uid(description.uid)
        .description(description.text)
        .tags(["nightferry"])
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .timezone("")
        .time("now-12h/d+12h", "now-12h/d+12h")
        .refresh(description.refresh)
        .links(_links(description.uid))
        .variables([_variable(variable) for variable in description.variables])
        .annotations([_alerts(), _sequences()])
    )
    _lay_out(made, description.rows)
    return made.build()


def _lay_out(made: board.Dashboard, rows: Sequence[Row]) -> None:
    number, y = 0, 0
    for row in rows:
        number += 1
        head = board.Row(row.title).id(number).collapsed(row.collapsed)
        made.with_row(head.grid_pos(dashboard.GridPos(h=1, w=_COLUMNS, x=0, y=y)))
        x, y, highest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, highest = 0, y + highest, 0
            number += 1
            made.with_panel(build(panel, number, x, y))
            x, highest = x + panel.width, max(highest, panel.height)
        y += highest


def _variable(variable: Variable) -> board.QueryVariable:
    query = "SHOW TAG VALUES" + (f' FROM "{variable.measurement}"' if variable.measurement else "")
    query += f' WITH KEY = "{variable.name}"'
    if variable.within:
        query += " WHERE " + " AND ".join(f'"{name}" =~ /^${name}$/' for name in variable.within)
    return (
        board.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(source())
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NUMERICAL_ASC)
        .multi(True)
        .include_all(True)
        # Also what has no such tag at all: a bias frame has no filter.
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _links(uid: str) -> list[Builder[dashboard.DashboardLink]]:
    boards = (
        board.DashboardLink("nightferry")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(["nightferry"])
        .as_dropdown(True)
        .keep_time(True)
        .include_vars(True)
        .icon("external link")
    )
    nights = [
        board.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"/d/{uid}?from={noon}&to={noon}".replace("+", "%2B"))
        .keep_time(False)
        .include_vars(True)
        .icon("time" if title == "Tonight" else "bolt")
        .tooltip("From local noon to local noon, in the dashboard's time zone")
        for title, noon in NIGHTS
    ]
    return [boards, *nights]


def _alerts() -> board.AnnotationQuery:
    query = (
        'SELECT "title", "text", "about", "alert" FROM "alert" '
        'WHERE "what" = \'raised\' AND "site" =~ /^$site$/ AND $timeFilter ORDER BY time DESC LIMIT 500'
    )
    return _annotation("Alerts", "red", query, "text", "about,alert")


def _sequences() -> board.AnnotationQuery:
    query = (
        'SELECT "title", "text", "obstype", "what" FROM "sequence" '
        'WHERE "site" =~ /^$site$/ AND $timeFilter ORDER BY time DESC LIMIT 500'
    )
    return _annotation("Sequences", "blue", query, "text", "obstype,what")


class _InfluxAnnotation(dashboard.AnnotationTarget):
    """The SDK's target with the fields of InfluxDB's annotations."""

    def __init__(self, query: str, text_column: str, tags_column: str) -> None:
        super().__init__(limit=100, match_any=False, tags=[], type_val="tags")
        self._extra = {"query": query, "textColumn": text_column, "tagsColumn": tags_column}

    def to_json(self) -> dict[str, object]:
        """What stands in the dashboard's JSON."""
        marks = {"rawQuery": True, "fromAnnotations": True, "textEditor": True, "refId": "Anno"}
        return {**super().to_json(), **marks, "titleColumn": "title", **self._extra}


class _Annotation(board.AnnotationQuery):
    def influx(self, target: _InfluxAnnotation) -> _Annotation:
        self._internal.target = target
        return self


def _annotation(name: str, colour: str, query: str, text: str, tags: str) -> board.AnnotationQuery:
    made = _Annotation().name(name).datasource(source()).enable(True).hide(False).icon_color(colour)
    return made.influx(_InfluxAnnotation(query, text, tags))
