"""Alert rules that Grafana keeps on its own: they still speak when nightferry's own notifier is dead.

They look only at what must always be there, and at a few states that nobody may sleep through; the limits of single
parameters stay with `nightferry housekeep`, which knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from deploy.grafana.influxql import SOURCE_UID, by_tags, where

NoData = Literal["Alerting", "NoData", "OK"]
_DAY_S: Final = 86_400
# Counted in steps, so that a site that has fallen silent is a row of zeros: without, its row is only missing, and the
# other sites' hide it. A site that nobody has heard of for a day is none any more.
_EACH_SITE: Final = ' GROUP BY time(5m), "site" fill(0)'


@dataclass(frozen=True)
class Rule:
    """One rule: the last value of each series of a query, against a limit.

    Attributes
    ----------
    query : str
        InfluxQL; every series is an alert of its own, with its tags as labels.
    kind : str
        gt or lt: which side of `limit` is bad.
    look_back_s : int
        The range of time that the query sees.
    lasting : str
        How long it must be bad before Grafana speaks.
    no_data : str
        What it means when nothing comes back: Alerting where silence itself is the trouble.
    panel : tuple of (str, str)
        Dashboard and title of the panel that shows more.
    """

    uid: str
    title: str
    text: str
    query: str
    kind: Literal["gt", "lt"]
    limit: float
    severity: int
    panel: tuple[str, str]
    look_back_s: int = 600
    lasting: str = "2m"
    no_data: NoData = "OK"


RULES: Final = (
    Rule(
        "nf-rule-hk-silent",
        "No housekeeping",
        "The housekeeper of {{ .Labels.site }} has read no sample for 10 minutes.",
        'SELECT sum("samples") FROM "housekeeper"' + where() + _EACH_SITE,
        "lt",
        1,
        2,
        ("nf-housekeeping", "Samples per second"),
        look_back_s=_DAY_S,
        lasting="10m",
        no_data="Alerting",
    ),
    Rule(
        "nf-rule-severity2",
        "Alert of severity 2 open",
        "Alerts of severity 2 have been open at {{ .Labels.site }} for 20 minutes.",
        'SELECT last("severity2") FROM "alerts_open"' + where() + by_tags("site"),
        "gt",
        0,
        2,
        ("nf-alerts", "Severity 2"),
        lasting="20m",
    ),
    Rule(
        "nf-rule-notify-silent",
        "The notifier is silent",
        "No open alerts were counted at {{ .Labels.site }} for 10 minutes: nobody there is told of anything.",
        'SELECT count("total") FROM "alerts_open"' + where() + _EACH_SITE,
        "lt",
        1,
        2,
        ("nf-alerts", "Open alerts"),
        look_back_s=_DAY_S,
        lasting="10m",
        no_data="Alerting",
    ),
    Rule(
        "nf-rule-daemon-down",
        "Daemon down",
        "{{ .Labels.daemon }} on {{ .Labels.host }} ({{ .Labels.site }}) has stopped beating.",
        'SELECT last("up") FROM "daemon"' + where() + by_tags("site", "host", "daemon"),
        "lt",
        1,
        2,
        ("nf-queues", "Alive"),
        lasting="5m",
    ),
    Rule(
        "nf-rule-conditions-silent",
        "Nobody looks at the daemons",
        "No word of the daemons of {{ .Labels.site }} for 10 minutes: the sweep, metrics writer or InfluxDB is down.",
        'SELECT count("up") FROM "daemon"' + where() + _EACH_SITE,
        "lt",
        1,
        2,
        ("nf-queues", "Alive"),
        look_back_s=_DAY_S,
        lasting="10m",
        no_data="Alerting",
    ),
    Rule(
        "nf-rule-disk",
        "Disk nearly full",
        "{{ .Labels.place }} on {{ .Labels.host }} ({{ .Labels.site }}) is more than 97 % full.",
        'SELECT last("used_fraction") FROM "disk"' + where() + by_tags("site", "host", "place"),
        "gt",
        0.97,
        2,
        ("nf-queues", "Disks"),
        lasting="5m",
    ),
    Rule(
        "nf-rule-backlog",
        "Frames wait too long",
        "The oldest frame on route {{ .Labels.route }} has waited for an hour longer than its route lets it.",
        'SELECT last("overdue_s") FROM "backlog"' + where() + by_tags("site", "route"),
        "gt",
        3600,
        1,
        ("nf-transfer", "Age of the oldest"),
        lasting="5m",
    ),
    Rule(
        "nf-rule-heartbeat",
        "A site is silent",
        "{{ .Labels.site }} has not heard from {{ .Labels.from }} for 15 minutes.",
        'SELECT last("age_s") FROM "heartbeat"' + where() + by_tags("site", "from"),
        "gt",
        900,
        2,
        ("nf-transfer", "Heartbeats"),
    ),
)


def document(panels: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """The provisioning file. `panels` is the id of each panel by (dashboard, title)."""
    group = {"orgId": 1, "name": "nightferry", "folder": "nightferry", "interval": "1m"}
    return {"apiVersion": 1, "groups": [{**group, "rules": [_rule(rule, panels[rule.panel]) for rule in RULES]}]}


def _rule(rule: Rule, panel: int) -> dict[str, Any]:
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "C",
        "for": rule.lasting,
        "noDataState": rule.no_data,
        # A rule that watches for silence also speaks when InfluxDB does not answer; one such word is enough.
        "execErrState": "Alerting" if rule.uid == "nf-rule-conditions-silent" else "OK",
        "labels": {"severity": str(rule.severity), "from": "grafana"},
        "annotations": {"summary": rule.title, "description": rule.text},
        "dashboardUid": rule.panel[0],
        "panelId": panel,
        "data": [_query(rule), _reduce(), _threshold(rule)],
    }


def _query(rule: Rule) -> dict[str, Any]:
    model = {"refId": "A", "rawQuery": True, "resultFormat": "time_series", "query": rule.query}
    model |= {"datasource": {"type": "influxdb", "uid": SOURCE_UID}, "intervalMs": 1000, "maxDataPoints": 43200}
    span = {"from": rule.look_back_s, "to": 0}
    return {"refId": "A", "relativeTimeRange": span, "datasourceUid": SOURCE_UID, "model": model}


def _expression(ref_id: str, model: dict[str, Any]) -> dict[str, Any]:
    span = {"from": 0, "to": 0}
    base = {"refId": ref_id, "datasource": {"type": "__expr__", "uid": "__expr__"}}
    return {"refId": ref_id, "relativeTimeRange": span, "datasourceUid": "__expr__", "model": {**base, **model}}


def _reduce() -> dict[str, Any]:
    return _expression("B", {"type": "reduce", "expression": "A", "reducer": "last", "settings": {"mode": "dropNN"}})


def _threshold(rule: Rule) -> dict[str, Any]:
    evaluator = {"type": rule.kind, "params": [rule.limit]}
    return _expression("C", {"type": "threshold", "expression": "B", "conditions": [{"evaluator": evaluator}]})
