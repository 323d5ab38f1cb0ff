"""Every query of every dashboard and alert rule, put to a real InfluxDB that holds a demo night, gives rows.

The queries come out of the committed JSON and YAML, not out of the descriptions, and are filled in as Grafana does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.build import HERE
from deploy.grafana.preview import draw
from deploy.grafana.queries import Filling, Found, dashboard_queries, rule_queries
from services.core.metrics.drain import Drainer
from services.core.metrics.influx import post_to
from services.core.metrics.spool import Spool
from services.core.metrics_settings import InfluxSettings
from tests.acceptance.conftest import DemoNight
from tests.fixtures.influx import Influx

DAY_MS = 86_400_000
# A quiet night has no errors, refusals and failures: these queries add rows to a panel that another one fills already.
WARNING = 'qa,check=c,detector=1,production=live,instrument=i value=1,expid=1i,verdict="warning",missing=""'
ERROR = WARNING.replace("warning", "error")
FAILED = 'task_failed,kind=check attempt=1i,again=false,reason="bad"'
ALERT = 'alert,about=disk,alert=disk:d,what={} title="t",text="",severity=1i,episode=1i,open_s=9.5'
RARE = {
    ("nf-alerts: By alert", "B"): ALERT.format("acknowledged"),
    ("nf-alerts: By alert", "C"): ALERT.format("resolved"),
    ("nf-detectors: Detectors in this range of time", "B"): ERROR,
    ("nf-detectors: Detectors in this range of time", "C"): WARNING.replace("check=c", "check=drift"),
    ("nf-night: Check log", "B"): ERROR,
    ("nf-night: Checks", "B"): WARNING,
    ("nf-night: Checks", "C"): ERROR,
    ("nf-night: Checks by name", "B"): WARNING,
    ("nf-night: Checks by name", "C"): ERROR,
    ("nf-night: Verdicts", "B"): WARNING,
    ("nf-night: Verdicts", "C"): ERROR,
    ("nf-queues: Hosts now", "B"): "clock,host=h offset_s=0.01",  # where nothing keeps the clock there is no offset
    ("nf-queues: Kinds of tasks", "B"): FAILED,
    ("nf-queues: Log of daemons and failures", "B"): 'daemon_error,daemon=ship,error=E reason="no way"',
    ("nf-queues: Log of daemons and failures", "C"): FAILED,
    ("nf-transfer: Route log", "B"): 'route_error,route=r,error=Unreachable pause_s=5.0,reason="gone"',
    ("nf-transfer: Route log", "C"): "route_pressure,route=r pause=true,science_first=true,mbit_s=1.0",
    ("nf-transfer: Route log", "D"): 'route_auto,route=r batch_frames=4i,streams=1i,reason="small"',
}


def drain(path: Path, copy: Path, site: str, influx: Influx, database: str) -> None:
    """Deliver a copy of a spool: the night belongs to other tests too."""
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    spool = Spool(copy, site)
    post = post_to(InfluxSettings(version=1, url=influx.native, database=database))
    drainer = Drainer(spool, post, 5000)
    while (drained := drainer.step()).points:
        assert drained.rejected == 0
        drainer.tell(drained, 0.1)
    post.close()
    spool.close()


@pytest.fixture(scope="module")
def database(demo_night: DemoNight, influx: Influx, tmp_path_factory: pytest.TempPathFactory) -> str:
    name = "demo_night"
    influx.query(f"CREATE DATABASE {name}")
    copies = tmp_path_factory.mktemp("spools")
    for host, site in (("telescope", "summit"), ("centre", "centre")):
        spool = demo_night.layout.root / host / "state" / "metrics.sqlite"
        drain(spool, copies / f"{host}.sqlite", site, influx, name)
    return name


def times_ms(influx: Influx, database: str, measurement: str, field: str) -> tuple[int, int]:
    """When the first and the last point of a measurement is."""
    ends = (influx.rows(f'SELECT {end}("{field}") FROM "{measurement}"', database)[0][0] for end in ("first", "last"))
    first, last = (int(time) // 10**6 for time in ends)
    return first, last


@pytest.fixture(scope="module")
def spans(database: str, influx: Influx) -> list[Filling]:
    """The night that the exposures are of, and the minutes in which it was played."""
    exposures = times_ms(influx, database, "qa", "value")
    started, _ = times_ms(influx, database, "daemon_start", "started")
    _, ended = times_ms(influx, database, "metrics_writer", "points")
    night = Filling(exposures[0] - DAY_MS // 4, exposures[1] + DAY_MS // 4, {})
    return [night, Filling(started - 1000, ended + 1000, {})]


def every_query() -> Iterator[Found]:
    for path in sorted((HERE / "json").glob("*.json")):
        yield from dashboard_queries(json.loads(path.read_text(encoding="utf-8")))
    yield from rule_queries(
        yaml.safe_load((HERE / "provisioning" / "alerting" / "rules.yaml").read_text(encoding="utf-8"))
    )


QUERIES = list(every_query())
usual = [found for found in QUERIES if (found.where, found.ref_id) not in RARE]


def series(influx: Influx, database: str, text: str) -> list[dict[str, Any]]:
    (result,) = json.loads(influx.query(text, database))["results"]
    assert "error" not in result, f"{result}: {text}"
    return list(result.get("series", []))


def filled(answer: list[dict[str, Any]]) -> int:
    """Rows with a value beside the time (or beside the key, in the answer to a variable)."""
    return sum(any(cell is not None for cell in row[1:]) for one in answer for row in one["values"])


def test_every_query_of_panels_variables_annotations_and_rules_gives_rows(
    database: str, spans: list[Filling], influx: Influx
) -> None:
    empty = []
    for found in usual:
        asked = [span.fill(found) for span in spans]
        if not any(filled(series(influx, database, text)) for text in asked):
            empty.append((found.where, found.ref_id, asked))
    assert empty == []


def test_every_panel_has_a_query_that_a_demo_night_fills() -> None:
    panels = {(found.where, found.panel) for found in QUERIES if found.panel}
    assert panels == {(found.where, found.panel) for found in usual if found.panel}
    assert set(RARE) <= {(found.where, found.ref_id) for found in QUERIES}


def test_queries_for_rare_events_find_them_when_they_happen(
    influx: Influx, tmp_path: Path, spans: list[Filling], database: str
) -> None:
    rare = [found for found in QUERIES if found not in usual]
    name = "rare_events"
    influx.query(f"CREATE DATABASE {name}")
    assert [found.where for found in rare if filled(series(influx, name, spans[1].fill(found)))] == []
    spool = Spool(tmp_path / "rare.sqlite", "centre")
    for number, point in enumerate(sorted(set(RARE.values())), start=1):
        head, _, fields = point.partition(" ")
        spool.write_lines([f"{head},site=centre {fields} {spans[1].to_ms * 10**6 - number}"])
    spool.close()
    drain(tmp_path / "rare.sqlite", tmp_path / "copy.sqlite", "centre", influx, name)
    for found in rare:
        series(influx, database, spans[1].fill(found))  # of the real night it is understood as well
        assert filled(series(influx, name, spans[1].fill(found))), found.where


def test_all_sites_by_name_are_the_same_as_all(database: str, spans: list[Filling], influx: Influx) -> None:
    sites = [row[1] for one in series(influx, database, 'SHOW TAG VALUES WITH KEY = "site"') for row in one["values"]]
    named = {"site": sorted(set(sites))}
    assert len(named["site"]) == 2
    for found in usual:
        for span in spans:
            by_name = Filling(span.from_ms, span.to_ms, named).fill(found)
            assert series(influx, database, by_name) == series(influx, database, span.fill(found)), found.where


@pytest.mark.parametrize("uid", ["nf-housekeeping", "nf-queues"])
def test_a_dashboard_is_drawn_with_what_its_panels_hold(
    uid: str, database: str, spans: list[Filling], influx: Influx, tmp_path: Path
) -> None:
    document = json.loads((HERE / "json" / f"{uid}.json").read_text(encoding="utf-8"))
    picture = draw(document, spans, influx.native, database, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
