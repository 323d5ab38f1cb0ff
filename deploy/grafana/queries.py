"""Takes the queries out of dashboards and alert rules as they are committed, and fills them in as Grafana does.

Sources: Grafana's InfluxDB plug-in (`pkg/tsdb/influxdb/models/query.go` for `$timeFilter` and `$__interval`,
`datasource.ts` for variables, which become regular expressions with their values escaped) and `rangeUtil.ts` for the
width of an interval.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_ESCAPED: Final = re.compile(r"[\^$\\.*+?()\[\]{}|]")
_S, _M, _H, _D = 1000, 60_000, 3_600_000, 86_400_000
# Up to which width an interval in milliseconds is rounded to which one.
_ROUNDED: Final = (
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1500, _S),
    (3500, 2 * _S),
    (7500, 5 * _S),
    (12_500, 10 * _S),
    (17_500, 15 * _S),
    (25_000, 20 * _S),
    (45_000, 30 * _S),
    (90_000, _M),
    (210_000, 2 * _M),
    (450_000, 5 * _M),
    (750_000, 10 * _M),
    (1_050_000, 15 * _M),
    (1_500_000, 20 * _M),
    (2_700_000, 30 * _M),
    (5_400_000, _H),
    (9_000_000, 2 * _H),
    (16_200_000, 3 * _H),
    (32_400_000, 6 * _H),
    (86_400_000, 12 * _H),
    (604_800_000, _D),
    (1_814_400_000, 7 * _D),
)


@dataclass(frozen=True)
class Found:
    """One query of a dashboard or a rule file.

    Attributes
    ----------
    where : str
        Dashboard or file, and what in it: a panel's title, `variable site`, `annotation Alerts`, a rule's uid.
    panel : int
        The panel's id; 0 for everything else.
    kind : str
        The panel's type, or `variable`, `annotation`, `rule`.
    text : str
        The query with its macros.
    min_interval_ms, width : int
        The panel's shortest interval, and its width in columns.
    look_back_s : int
        The rule's range of time; 0 for everything else.
    """

    where: str
    ref_id: str
    kind: str
    text: str
    panel: int = 0
    min_interval_ms: int = 0
    width: int = 24
    look_back_s: int = 0


def dashboard_queries(document: Mapping[str, Any]) -> Iterator[Found]:
    """Every query of a dashboard: variables, annotations, panels, panels in folded rows."""
    uid = document["uid"]
    for variable in document["templating"]["list"]:
        yield Found(f"{uid}: variable {variable['name']}", "", "variable", variable["query"])
    for annotation in document["annotations"]["list"]:
        yield Found(f"{uid}: annotation {annotation['name']}", "", "annotation", annotation["target"]["query"])
    for panel in _panels(document["panels"]):
        interval = milliseconds(panel.get("interval") or "0s")
        for target in panel["targets"]:
            place = f"{uid}: {panel['title']}"
            number, width = panel["id"], panel["gridPos"]["w"]
            yield Found(place, target["refId"], panel["type"], target["query"], number, interval, width)


def _panels(panels: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for panel in panels:
        if panel["type"] == "row":
            yield from _panels(panel["panels"])
        else:
            yield panel


def rule_queries(document: Mapping[str, Any]) -> Iterator[Found]:
    """Every query that a file of alert rules puts to InfluxDB; expressions are Grafana's own."""
    for group in document["groups"]:
        for rule in group["rules"]:
            for query in rule["data"]:
                if query["datasourceUid"] != "__expr__":
                    span = query["relativeTimeRange"]["from"]
                    yield Found(rule["uid"], query["refId"], "rule", query["model"]["query"], look_back_s=span)


@dataclass(frozen=True)
class Filling:
    """What Grafana knows when it puts a query: the range of time and the chosen values.

    Attributes
    ----------
    from_ms, to_ms : int
        Milliseconds since 1970 UTC.
    values : mapping of str to sequence of str
        Chosen values of the variables; a variable that is not named here stands for all.
    """

    from_ms: int
    to_ms: int
    values: Mapping[str, Sequence[str]]

    def fill(self, found: Found) -> str:
        """The query as InfluxDB gets it."""
        from_ms = self.to_ms - found.look_back_s * 1000 if found.look_back_s else self.from_ms
        interval = self.interval_ms(found)
        text = found.text.replace("$timeFilter", f"time >= {from_ms}ms and time <= {self.to_ms}ms")
        text = text.replace("$__interval_ms", str(interval)).replace("$__interval", _span(interval))
        return _VARIABLE.sub(lambda match: self._value(match[1] or match[2]), text)

    def interval_ms(self, found: Found) -> int:
        """How wide one point of this panel is: a pixel for a point, on a screen of 1,800 pixels."""
        pixels = max(1, found.width * 75)
        return max(rounded_ms((self.to_ms - self.from_ms) / pixels), found.min_interval_ms, 1)

    def _value(self, name: str) -> str:
        values = self.values.get(name)
        if values is None:
            return ".*"
        escaped = [_ESCAPED.sub(lambda match: "\\" + match[0], value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def rounded_ms(interval: float) -> int:
    """The interval that Grafana takes for one of this many milliseconds."""
    place = bisect.bisect_right([limit for limit, _ in _ROUNDED], interval)
    return _ROUNDED[place][1] if place < len(_ROUNDED) else 30 * _D


def milliseconds(text: str) -> int:
    """`10m` as milliseconds."""
    units = {"ms": 1, "s": _S, "m": _M, "h": _H, "d": _D}
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    if match is None:
        raise ValueError(f"{text!r} is not an interval such as 10s or 1m")
    return int(match[1]) * units[match[2]]


def _span(interval: int) -> str:
    for unit, size in (("d", _D), ("h", _H), ("m", _M), ("s", _S)):
        if interval >= size:
            return f"{interval // size}{unit}"
    return f"{interval}ms"
