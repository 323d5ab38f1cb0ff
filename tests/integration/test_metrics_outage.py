"""InfluxDB dies in mid-night, writers write on, the drain is killed too: afterwards every point is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.core.metrics.spool import Spool
from tests.fixtures.influx_server import InfluxServer

WRITER = """
import sys
from pathlib import Path
import numpy as np
from services.core.metrics.spool import Spool
from services.monitor import Monitor
path, name, many = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
spool, monitor = Spool(path, "s"), Monitor(path, "s")
T0 = 1_700_000_000 * 10**9
for number in range(many):
    if number == many // 2:
        sys.stdin.readline()  # the rest is written while the server is away
    spool.write("single", {"v": number}, {"w": name}, time_ns=T0 + number)
    times = T0 + number * 1000 + np.arange(20)
    monitor.record("v", np.arange(20) + 0.5, times, {"w": name}, "arrays", log_tags={"observation": number, "w": name})
    monitor.write()
    print(number, flush=True)
"""

SETTINGS = """
site: s
state_dir: {state}
ledger: {{url: "sqlite:///{state}/ledger.sqlite"}}
metrics:
  batch_points: 500
  poll_s: 0.05
  influxdb: {{version: 1, url: "{url}", database: nightferry, timeout_s: 5}}
"""


@contextmanager
def writers(spool: Path, count: int, many: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-c", WRITER, str(spool)]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen([*command, f"w{number}", str(many)], stdin=pipe, stdout=pipe) for number in range(count)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.stdout.close()


def start_drain(config: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services.cli.main", "metrics", "-c", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def await_true(what: object, holds: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def outage(own_influx: InfluxServer, tmp_path: Path, processes: int, many: int) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SETTINGS.format(state=tmp_path, url=own_influx.native))
    path = tmp_path / "metrics.sqlite"
    with writers(path, processes, many) as running:
        drain = start_drain(config)
        try:
            await_true("points arrive", lambda: own_influx.count("single") > 5)
            own_influx.kill()
            for process in running:
                process.communicate(b"\n", timeout=120)  # each writes to its end while nobody takes anything
                assert process.returncode == 0
            assert Spool(path, "s").count()[0] > 0
            os.kill(drain.pid, signal.SIGKILL)
            drain.wait()
            own_influx.start()
            drain = start_drain(config)
            await_true("some are delivered", lambda: own_influx.count("single") > 20)
            os.kill(drain.pid, signal.SIGKILL)  # in the middle of the replay, between a post and its settling or not
            drain.wait()
            drain = start_drain(config)
            await_true("all are delivered", lambda: Spool(path, "s").count() == (0, 0))
        finally:
            drain.terminate()
            assert drain.wait(timeout=20) in (0, -signal.SIGTERM)
    assert own_influx.count("single") == processes * many
    assert own_influx.count("arrays") == processes * many * 20
    assert own_influx.count("obs_process_log", "points") == processes * many
    for name in range(processes):
        rows = own_influx.rows(f"SELECT v FROM single WHERE w = 'w{name}'")
        assert [value for _, value in rows] == list(range(many))


def test_not_one_point_is_missing_or_doubled_after_an_outage(own_influx: InfluxServer, tmp_path: Path) -> None:
    outage(own_influx, tmp_path, processes=2, many=150)


@pytest.mark.slow
def test_a_long_outage_with_many_writers(own_influx: InfluxServer, tmp_path: Path) -> None:
    outage(own_influx, tmp_path, processes=4, many=5000)
