"""The spool and its way into a real InfluxDB."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from services.core.metrics.influx import InfluxUnreachable, InfluxWriter
from services.core.metrics.spool import Spool
from services.core.secret import Secret
from services.core.settings import InfluxSettings
from tests.fixtures.influx import Influx


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "metrics.sqlite", "testsite")


def writer(url: str, monkeypatch: pytest.MonkeyPatch, batch: int = 100) -> InfluxWriter:
    monkeypatch.setenv("NF_TEST_TOKEN", "any")
    settings = InfluxSettings(url=url, org="o", bucket="nightferry", token=Secret(env="NF_TEST_TOKEN"), timeout_s=5)
    return InfluxWriter(settings, batch)


def values(influx: Influx, measurement: str) -> list[list[object]]:
    answer = json.loads(influx.query(f'SELECT * FROM "{measurement}"', "nightferry"))
    series = answer["results"][0].get("series")
    return list(series[0]["values"]) if series else []


def test_points_survive_the_process_that_wrote_them(tmp_path: Path) -> None:
    first = Spool(tmp_path / "metrics.sqlite", "testsite")
    first.write("m", {"v": 1.0}, {"t": "x"}, time_ns=5)
    first.close()
    second = Spool(tmp_path / "metrics.sqlite", "testsite")
    assert [text for _, text in second.oldest(10)] == ["m,site=testsite,t=x v=1.0 5"]


def test_many_threads_and_connections_write_one_spool(tmp_path: Path) -> None:
    spools = [Spool(tmp_path / "metrics.sqlite", "s") for _ in range(4)]

    def write(spool: Spool) -> None:
        for number in range(50):
            spool.write("m", {"v": number})

    threads = [threading.Thread(target=write, args=(spool,)) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spools[0].count() == (200, 0)


def test_the_oldest_points_go_when_the_spool_is_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "metrics.sqlite", "s", keep_points=1000)
    spool.write_lines(f"m v={number}i {number}" for number in range(12_000))
    assert spool.count() == (1000, 0)
    assert spool.oldest(1)[0][1] == "m v=11000i 11000"


def test_the_spool_is_drained_into_influxdb_and_a_replay_changes_nothing(
    spool: Spool, influx: Influx, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(250):
        spool.write("drained", {"v": float(number), "text": 'é, "q"'}, {"amp": "A B"}, time_ns=10**18 + number)
    lines = [text for _, text in spool.oldest(1000)]
    drain = writer(influx.url, monkeypatch)
    assert [drain.drain(spool) for _ in range(4)] == [100, 100, 50, 0]
    assert len(values(influx, "drained")) == 250
    spool.write_lines(lines)
    while drain.drain(spool):
        pass
    assert len(values(influx, "drained")) == 250
    drain.close()


def test_one_bad_point_is_set_aside_with_its_reason_and_blocks_nothing(
    spool: Spool, influx: Influx, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = writer(influx.url, monkeypatch)
    spool.write("typed", {"v": 1.0}, time_ns=10**18)
    drain.drain(spool)
    for number in range(1, 30):
        spool.write("typed", {"v": "a string" if number == 17 else float(number)}, time_ns=10**18 + number)
    while drain.drain(spool):
        pass
    drain.close()
    assert spool.count() == (0, 1)
    assert len(values(influx, "typed")) == 29


def test_without_influxdb_the_points_wait(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.write("m", {"v": 1.0})
    drain = writer("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(InfluxUnreachable):
        drain.drain(spool)
    drain.close()
    assert spool.count() == (1, 0)
