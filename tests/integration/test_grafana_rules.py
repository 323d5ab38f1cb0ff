"""Alert rules of Grafana, asked of a real InfluxDB: one site's points do not hide another one's silence."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from deploy.grafana.build import HERE
from deploy.grafana.queries import Filling, Found, rule_queries
from services.core.metrics.blocks import join
from services.core.metrics.influx import post_to
from services.core.metrics_settings import InfluxSettings
from tests.fixtures.influx import Influx

MINUTE_NS = 60 * 10**9
SILENT = {
    "nf-rule-hk-silent": "housekeeper,source=tcs samples=60i",
    "nf-rule-notify-silent": "alerts_open,x=y total=0i",
    "nf-rule-conditions-silent": "daemon,daemon=watch up=1i",
}


def rule(uid: str) -> Found:
    text = (HERE / "provisioning" / "alerting" / "rules.yaml").read_text(encoding="utf-8")
    return next(found for found in rule_queries(yaml.safe_load(text)) if found.where == uid)


@pytest.mark.parametrize("uid", SILENT)
def test_a_site_that_has_fallen_silent_is_below_the_limit_whatever_others_write(influx: Influx, uid: str) -> None:
    now_ns = time.time_ns()
    database = uid.replace("-", "_")
    influx.query(f"CREATE DATABASE {database}")
    head, fields = SILENT[uid].split(" ")
    lines = [
        f"{head},site={site} {fields} {now_ns - minute * MINUTE_NS}"
        for site, last in (("summit", 12), ("centre", 0))
        for minute in range(last, 40)
    ]
    post = post_to(InfluxSettings(version=1, url=influx.native, database=database))
    assert post.post(join([("\n".join(lines) + "\n").encode()])).status == 204
    post.close()
    text = Filling(0, now_ns // 10**6, {}).fill(rule(uid))
    (result,) = json.loads(influx.query(text, database))["results"]
    found = {series["tags"]["site"]: [row[1] for row in series["values"]] for series in result["series"]}
    assert found["summit"][-1] == 0 and found["summit"][-2] == 0
    assert max(found["centre"][-2:]) >= 1
