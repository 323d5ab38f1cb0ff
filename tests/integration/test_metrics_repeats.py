"""What is checked, reduced or told again overwrites what was written before, in a real InfluxDB."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana.build import HERE
from deploy.grafana.queries import Filling, dashboard_queries
from processors.check_frame import check_open_frame, open_frame
from processors.checks.result import CheckResult
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.reduction.measures import Measures
from services.core.ledger import arrivals, centre
from services.core.ledger.centre import NewTask
from services.core.ledger.engine import Ledger
from services.core.metrics.delay import observed_ns
from services.core.metrics.drain import Drainer
from services.core.metrics.influx import post_to
from services.core.metrics.spool import Point, Spool
from services.core.metrics_settings import InfluxSettings
from services.worker import spectrum as spectra
from services.worker.measured import measure_points
from services.worker.quality import qa_points, qa_rows, withdrawn_points
from tests.builders import digest, seen_frame
from tests.fixtures.influx import Influx
from tests.site import tiny_night

Deliver = Callable[[Iterable[Point]], None]
Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    paths = tiny_night(tmp_path_factory.mktemp("night"), biases=1, flats=0, targets=0)
    return open_frame(next(path for path in paths if "simcam" in path.name), load_instruments())


@pytest.fixture(scope="module")
def results(frame: Frame) -> tuple[CheckResult, ...]:
    return check_open_frame(frame)


@pytest.fixture
def database(influx: Influx) -> str:
    influx.query("DROP DATABASE repeats")
    influx.query("CREATE DATABASE repeats")
    return "repeats"


@pytest.fixture
def deliver(influx: Influx, database: str, tmp_path: Path) -> Deliver:
    """Through a spool and its drain, as every point goes."""
    spool = Spool(tmp_path / "metrics.sqlite", "centre")

    def put(points: Iterable[Point]) -> None:
        spool.write_points(points)
        post = post_to(InfluxSettings(version=1, url=influx.native, database=database))
        drainer = Drainer(spool, post, 5000)
        while (done := drainer.step()).points:
            assert done.rejected == 0
        post.close()

    return put


@pytest.fixture
def ask(influx: Influx, database: str) -> Ask:
    def rows(text: str) -> list[dict[str, Any]]:
        (result,) = json.loads(influx.query(text, database))["results"]
        found = result.get("series", [])
        return [dict(zip(one["columns"], row, strict=True)) for one in found for row in one["values"]]

    return rows


def judged(result: CheckResult, value: float, verdict: Any, flag: str, unit: str | None = None) -> CheckResult:
    return replace(result, value=value, verdict=verdict, flag=flag, unit=result.unit if unit is None else unit)


def test_a_check_with_another_verdict_flag_and_unit_takes_the_place_of_the_first(
    frame: Frame, results: tuple[CheckResult, ...], ledger: Ledger, deliver: Deliver, ask: Ask
) -> None:
    with ledger.begin() as conn:
        arrivals.add_arrival(conn, seen_frame("a"), 0.0)
        centre.add_task(conn, NewTask("t", "check", "quick", "20260101", "ready", {}, ()), "live", 0.0)

    def run(found: tuple[CheckResult, ...]) -> None:
        with ledger.begin() as conn:
            gone = centre.set_qa(conn, "t", qa_rows(found, digest("a")))
        deliver([*qa_points(found, frame, "live", "check"), *withdrawn_points(gone, frame, "live", "check")])

    *most, unmeasured, dropped = results
    run(tuple(judged(result, 7.0, "warning", "RON_OOL", "old") for result in results))
    run(
        (*(judged(result, 8.0, "ok", "") for result in most), judged(unmeasured, math.nan, "error", "POORQUALDATA", ""))
    )

    rows = ask('SELECT * FROM "qa"')
    places = {(row["check"], row["detector"] or "", row["amplifier"] or "") for row in rows}
    assert len(rows) == len(places) == len(results), "one point for each thing that was looked at"
    by_verdict = {name: [row for row in rows if row["verdict"] == name] for name in ("ok", "error", "withdrawn")}
    assert {row["time"] for row in rows} == {observed_ns(frame.identity.date_obs)}
    assert [len(found) for found in by_verdict.values()] == [len(most), 1, 1]
    assert {(row["value"], row["flag"], row["missing"]) for row in by_verdict["ok"]} == {(8.0, "", "")}
    assert [row["unit"] for row in by_verdict["ok"]] != ["old"] * len(most)
    assert [(row["check"], row["flag"], row["unit"], row["missing"]) for row in by_verdict["error"]] == [
        (unmeasured.check, "POORQUALDATA", "", "value")
    ]
    assert [(row["check"], row["flag"], row["missing"]) for row in by_verdict["withdrawn"]] == [
        (dropped.check, "", "value")
    ]


def test_a_reduction_that_lacks_a_number_does_not_show_the_earlier_ones(
    frame: Frame, deliver: Deliver, ask: Ask
) -> None:
    def zero_points() -> list[float]:
        (found,) = [one for one in dashboard_queries(board) if one.where == "nf-night: Zero point"]
        at_ms = observed_ns(frame.identity.date_obs) // 10**6
        return [row["median"] for row in ask(Filling(at_ms - 60_000, at_ms + 60_000, {}).fill(found))]

    board = json.loads((HERE / "json" / "nf-night.json").read_text(encoding="utf-8"))
    deliver(measure_points([Measures("1", sky_e=50.0, zero_point=25.0, stars=9)], frame, "live"))
    assert zero_points() == [25.0]
    deliver(measure_points([Measures("1", sky_e=51.0, zero_point_error=0.1, stars=8)], frame, "live"))
    (row,) = ask('SELECT "sky_e", "stars", "zero_point", "missing" FROM "reduced"')
    assert (row["sky_e"], row["stars"], row["zero_point"]) == (51.0, 8, 25.0), "InfluxDB keeps a field left out"
    assert {"zero_point", "seeing_arcsec"} < set(row["missing"].split())
    assert {"sky_e", "stars", "zero_point_error"}.isdisjoint(row["missing"].split())
    assert zero_points() == []
    deliver(measure_points([Measures("1")], frame, "live"))
    (row,) = ask('SELECT "expid", "missing" FROM "reduced"')
    assert {"sky_e", "stars", "zero_point"} <= set(row["missing"].split())


def test_a_spectrum_that_cannot_be_made_any_more_and_one_that_can_be_again(
    frame: Frame, deliver: Deliver, ask: Ask
) -> None:
    numbers = {"lines": 9, "signal_to_noise": 40.0}
    made = {"made": True, "flags": "", "reason": "", **numbers}
    deliver([spectra._point(made, frame, "live")])
    deliver([spectra._point({"made": False, "flags": "NOSPECTRUM", "reason": "no arc"}, frame, "live")])
    (row,) = ask('SELECT "made", "flags", "reason", "missing" FROM "spectrum"')
    assert (row["made"], row["flags"], row["reason"]) == (False, "NOSPECTRUM", "no arc")
    assert numbers.keys() < set(row["missing"].split())
    deliver([spectra._point(made, frame, "live")])
    (row,) = ask('SELECT "made", "flags", "reason", "lines", "missing" FROM "spectrum"')
    assert (row["made"], row["flags"], row["reason"], row["lines"]) == (True, "", "", 9)
    assert numbers.keys().isdisjoint(row["missing"].split())


def test_the_files_of_an_exposure_and_the_tasks_about_a_frame_do_not_overwrite_each_other(
    frame: Frame, results: tuple[CheckResult, ...], deliver: Deliver, ask: Ask
) -> None:
    (whole_file,) = [result for result in results if result.check == "completeness"]
    for detector in ("1", "2"):
        identity = replace(frame.identity, detectors=(detector,), expected_detectors=2)
        deliver(qa_points([whole_file], replace(frame, identity=identity), "live", "check"))
    noise = next(result for result in results if result.check == "read_noise")
    for kind in ("check", "bias"):
        deliver(qa_points([noise], frame, "live", kind))
    rows = ask('SELECT "expid", "check", "detector", "kind" FROM "qa"')
    found = sorted((row["check"], row["detector"], row["kind"]) for row in rows)
    assert found == [
        ("completeness", "1", "check"),
        ("completeness", "2", "check"),
        ("read_noise", noise.detector, "bias"),
        ("read_noise", noise.detector, "check"),
    ]
