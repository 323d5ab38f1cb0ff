"""The three verbs: check, record, write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.errors import BadSettings
from services.core.metrics.ask import Elsewhere
from services.core.metrics.drain import Drainer
from services.core.metrics.drainage import waiting_lines
from services.core.metrics.influx import post_to
from services.core.metrics.spool import Spool, SpoolUnwritable
from services.core.metrics.times import BadPoints
from services.core.metrics_settings import InfluxSettings
from services.monitor import Monitor
from tests.fixtures.influx_server import InfluxServer

T0 = 1_700_000_000.0


def monitor_at(tmp_path: Path, elsewhere: Elsewhere | None = None) -> Monitor:
    return Monitor(tmp_path / "metrics.sqlite", "here", elsewhere)


def waiting(tmp_path: Path) -> list[str]:
    return waiting_lines(Spool(tmp_path / "metrics.sqlite", "here"), 10**6)


def test_values_of_many_detectors_and_what_was_recorded(tmp_path: Path) -> None:
    with monitor_at(tmp_path) as monitor:
        log_tags = {"observation": "obs 1", "wafer": "w1"}
        assert not monitor.check("noise", "obs 1", {"wafer": "w1"})
        taken = monitor.record(
            "noise", [1.5, np.nan, 2.5], T0, {"wafer": "w1", "detector": ["a", "b", "c"]}, "stats", log_tags=log_tags
        )
        assert taken == 2
        assert not monitor.check("noise", "obs 1")
        assert waiting(tmp_path) == []
        assert monitor.write() == 3
        assert monitor.check("noise", "obs 1", {"wafer": "w1"})
    lines = waiting(tmp_path)
    assert lines[0] == "obs_process_log,field=noise,observation=obs\\ 1,site=here,wafer=w1 points=2i " + lines[0][-19:]
    assert lines[1:] == [
        "stats,detector=a,site=here,wafer=w1 noise=1.5 1700000000000000000",
        "stats,detector=c,site=here,wafer=w1 noise=2.5 1700000000000000000",
    ]


def test_check_looks_at_the_field_the_observation_the_log_and_all_tags_asked_for(tmp_path: Path) -> None:
    with monitor_at(tmp_path) as monitor:
        monitor.record("noise", 1.0, T0, {}, "stats", log_tags={"observation": "1", "wafer": "w1", "n": 3})
        monitor.record("noise", 1.0, T0, {}, "stats", log="other", log_tags={"observation": 2})
        monitor.write()
        assert monitor.check("noise", "1")
        assert monitor.check("noise", "1", {"wafer": "w1", "n": 3})
        assert not monitor.check("noise", "2")
        assert not monitor.check("gain", "1")
        assert not monitor.check("noise", "1", {"wafer": "w2"})
        assert not monitor.check("noise", "1", {"telescope": "LAT"})
        assert not monitor.check("noise", "1", log="other")
        assert monitor.check("noise", "2", log="other")


def test_without_log_tags_nothing_is_remembered(tmp_path: Path) -> None:
    with monitor_at(tmp_path) as monitor:
        monitor.record("noise", [1.0, 2.0], [T0, T0 + 1], {"a": "b"}, "stats", log_tags=None)
    assert [line.split(" ")[0] for line in waiting(tmp_path)] == ["stats,a=b,site=here"] * 2


def test_a_list_of_one_mapping_a_value_is_taken_too(tmp_path: Path) -> None:
    tags: list[dict[str, Any]] = [
        {"detector": "a b"},
        {"detector": "c", "wafer": 2},
        {"detector": None, "site": "there"},
    ]
    with monitor_at(tmp_path) as monitor:
        monitor.record("v", np.array([1, 2, 3]), np.full(3, T0), tags, "m")
    assert [line.split(" v=")[0] for line in waiting(tmp_path)] == [
        "m,detector=a\\ b,site=here",
        "m,detector=c,site=here,wafer=2",
        "m,site=there",
    ]


@pytest.mark.parametrize(
    ("values", "tags", "log_tags", "word"),
    [
        ([1.0, 2.0], {}, None, "overwrite each other"),
        ([1.0], {}, {"wafer": "w"}, "'observation' is missing"),
        ([1.0], [{}, {}], None, "expected one mapping"),
    ],
)
def test_a_call_that_raises_takes_nothing(tmp_path: Path, values: Any, tags: Any, log_tags: Any, word: str) -> None:
    with monitor_at(tmp_path) as monitor:
        with pytest.raises(BadPoints, match=word):
            monitor.record("v", values, T0, tags, "m", log_tags=log_tags)
        assert monitor.write() == 0


def test_an_error_in_the_block_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), monitor_at(tmp_path) as monitor:
        monitor.record("v", 1.0, T0, {}, "m", log_tags={"observation": "1"})
        raise RuntimeError
    assert waiting(tmp_path) == [] and not monitor_at(tmp_path).check("v", "1")


def test_a_write_that_fails_keeps_what_was_recorded(tmp_path: Path) -> None:
    with monitor_at(tmp_path) as monitor:
        monitor.record("v", 1.0, T0, {}, "m", log_tags={"observation": "1"})
        with monitor._spool.reading() as connection:
            connection.execute("PRAGMA query_only=1")
        with pytest.raises(SpoolUnwritable):
            monitor.write()
        assert not monitor.check("v", "1")
        with monitor._spool.reading() as connection:
            connection.execute("PRAGMA query_only=0")
        assert monitor.write() == 2
        assert monitor.check("v", "1")


KILLED = """
import os, signal, sys
from services.monitor import Monitor
monitor = Monitor(sys.argv[1], "here")
monitor.record("v", 1.0, 1.7e9, {}, "m", log_tags={"observation": "written"})
monitor.write()
monitor.record("v", [2.0] * 50, [1.7e9 + n for n in range(50)], {}, "m", log_tags={"observation": "not written"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_dies_before_write_has_recorded_nothing(tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "metrics.sqlite")], check=False)
    assert process.returncode == -9
    monitor = monitor_at(tmp_path)
    assert monitor.check("v", "written") and not monitor.check("v", "not written")
    assert len(waiting(tmp_path)) == 2


def test_what_arrays_say_is_what_influxdb_reads(tmp_path: Path, influx: InfluxServer) -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=25_000) * 10.0 ** rng.integers(-300, 300, 25_000)
    names = np.array(["a b", "c,d", "e=f", "g\\", 'h"', "é", "#i"])[np.arange(25_000) % 7]
    with monitor_at(tmp_path) as monitor:
        times = np.datetime64("2026-01-15T03:00", "ns") + np.arange(25_000)
        monitor.record("v v", values, times, {"name": names}, "array, s")
        monitor.record("t", np.array(['a "b"', "c\\", "d\te", ""]), T0 + np.arange(4), {"name": "x\\"}, "array, s")
    spool = Spool(tmp_path / "metrics.sqlite", "here")
    drain_into(influx, spool)
    assert spool.count() == (0, 0)
    rows = influx.rows('SELECT "v v", "name" FROM "array, s"')
    assert [float(row[1]) for row in rows] == values.tolist()
    assert [row[2] for row in rows] == [name.replace("\\", "/") for name in names.tolist()]
    assert [row[1] for row in influx.rows('SELECT t FROM "array, s"')] == ['a "b"', "c\\", "d e", ""]


def drain_into(influx: InfluxServer, spool: Spool) -> None:
    post = post_to(InfluxSettings(version=1, url=influx.native, database="nightferry"))
    drainer = Drainer(spool, post, 10_000)
    while drainer.step().points:
        pass
    post.close()


SITE = """
site: {name}
state_dir: {state}
ledger: {{url: "sqlite:///{state}/ledger.sqlite"}}
metrics: {{influxdb: {{{influx}}}}}
"""


def test_another_host_s_records_are_asked_of_the_database(tmp_path: Path, influx: InfluxServer) -> None:
    server = f"version: 1, url: '{influx.native}', database: nightferry"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.yaml").write_text(SITE.format(name=name, state=tmp_path / name, influx=server))
    with Monitor.from_settings(tmp_path / "one.yaml") as one:
        one.record("noise", 1.0, T0, {}, "m", log_tags={"observation": "it's \\ 'one'", "wafer": 'w "1"'})
    with Monitor.from_settings(tmp_path / "two.yaml", elsewhere=True) as two:
        assert not two.check("noise", "it's \\ 'one'")
        drain_into(influx, Spool(tmp_path / "one" / "metrics.sqlite", "one"))
        assert two.check("noise", "it's \\ 'one'")
        assert two.check("noise", "it's \\ 'one'", {"wafer": 'w "1"'})
        assert not two.check("noise", "it's \\ 'one'", {"wafer": "w2"})
        assert not two.check("noise", "two")


def test_while_the_database_is_away_this_host_s_word_counts(tmp_path: Path) -> None:
    away = Elsewhere(InfluxSettings(version=1, url="http://127.0.0.1:9", database="d"))
    with monitor_at(tmp_path, away) as monitor:
        monitor.record("v", 1.0, T0, {}, "m", log_tags={"observation": "1"})
        monitor.write()
        assert monitor.check("v", "1")
        assert not monitor.check("v", "2")


def test_a_server_that_cannot_be_asked_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    server = "version: victoriametrics, url: 'http://127.0.0.1:9'"
    path.write_text(SITE.format(name="s", state=tmp_path, influx=server))
    with pytest.raises(BadSettings, match="InfluxDB is needed"):
        Monitor.from_settings(path, elsewhere=True)


def test_a_host_and_a_port_are_no_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("localhost", 8086, "qds"), ("localhost", 8086), ("localhost", "8086", "qds")):
        with pytest.raises(TypeError, match="where points go stands in the settings"):
            Monitor(*arguments)
    assert not list(tmp_path.iterdir())
