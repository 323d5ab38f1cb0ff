"""Points per second: arrays by `Monitor.record` against influxdb-client's Points; by the spool into InfluxDB 1.6.7.

Run as `python bench/metrics.py [--quick] [--json]`. The server is Debian's influxd behind nginx (its version 2 write
interface), on this host; it shares the cores with whoever writes. Every point is a float64 with two tags of its own, at
a nanosecond of its own; every step writes points that the server has not seen before, and the points are counted
afterwards.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import urllib3
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from numpy.typing import NDArray
from rig.command import parser, show_all
from rig.rows import Row, row

from services.core.metrics.drain import Drainer
from services.core.metrics.influx import ByClient
from services.core.metrics.spool import Spool
from services.core.metrics_settings import InfluxSettings
from services.core.secret import Secret
from services.monitor import Monitor
from tests.fixtures.influx_server import InfluxServer

BATCH = 10_000
DETECTORS = 60


class Points:
    """Some points, as arrays; each call of `fresh` moves them to other times."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(20260115)
        self.values: NDArray[np.float64] = rng.normal(1000.0, 5.0, count)
        self.detectors: NDArray[np.str_] = np.array([f"det{number:02d}" for number in range(DETECTORS)])[
            np.arange(count) % DETECTORS
        ]
        self.times = 1_700_000_000 * 10**9 + np.arange(count) // DETECTORS * 10**9

    def fresh(self) -> None:
        """The same values some while later."""
        self.times = self.times + 10**16


def record(points: Points, monitor: Monitor) -> None:
    """Ours: arrays into lines."""
    tags = {"wafer": "w1", "detector": points.detectors}
    monitor.record("noise", points.values, points.times, tags, "stats")


def by_points(points: Points) -> Iterator[list[str]]:
    """The peer: a Point object each, as lines, in batches."""
    rows = zip(points.detectors.tolist(), points.values.tolist(), points.times.tolist(), strict=True)
    lines = []
    for detector, value, at in rows:
        point = Point("stats").tag("wafer", "w1").tag("detector", detector).field("noise", value)
        lines.append(point.time(at, WritePrecision.NS).to_line_protocol())
        if len(lines) == BATCH:
            yield lines
            lines = []
    if lines:
        yield lines


def by_hand(points: Points) -> list[str]:
    """Lines by an f-string, the quickest way without escaping or looking at anything."""
    rows = zip(points.detectors.tolist(), points.values.tolist(), points.times.tolist(), strict=True)
    return [f"stats,detector={detector},site=b,wafer=w1 noise={value!r} {at}" for detector, value, at in rows]


class Rig:
    """The server, and the ways to write to it."""

    def __init__(self, server: InfluxServer, work: Path, count: int) -> None:
        self.points = Points(count)
        self.count = count
        self._server = server
        self._work = work
        self._steps = 0
        token = Secret(file=work / "token")
        (work / "token").write_text("any\n")
        self._settings = InfluxSettings(
            version=2, url=server.url, org="o", bucket="nightferry", token=token, timeout_s=60
        )
        self._client = InfluxDBClient(url=server.url, token="any", org="o")
        self._api = self._client.write_api(write_options=SYNCHRONOUS)
        self._pool = urllib3.PoolManager()

    def monitor(self) -> Monitor:
        """A monitor with a new spool."""
        self._steps += 1
        return Monitor(self._work / f"{self._steps}.sqlite", "b")

    def drain(self) -> None:
        """What the newest spool has, into the server."""
        spool = Spool(self._work / f"{self._steps}.sqlite", "b")
        post = ByClient(self._settings)
        drainer = Drainer(spool, post, BATCH)
        while drainer.step().points:
            pass
        assert spool.count() == (0, 0)
        post.close()
        spool.close()

    def through_the_spool(self) -> None:
        """Ours, end to end: record, write, drain."""
        with self.monitor() as monitor:
            record(self.points, monitor)
        self.drain()

    def client_posts_points(self) -> None:
        """The peer, end to end: Point objects, made and posted."""
        for lines in by_points(self.points):
            self._api.write(bucket="nightferry", org="o", record="\n".join(lines), write_precision="ns")

    def posts_lines(self, lines: Sequence[str]) -> None:
        """Lines that are ready, posted as they are, as fast as the server takes them."""
        url = f"{self._server.url}/api/v2/write?bucket=nightferry&org=o&precision=ns"
        for begin in range(0, len(lines), BATCH):
            body = "\n".join(lines[begin : begin + BATCH]).encode()
            answer = self._pool.request("POST", url, body=body, headers={"Content-Type": "text/plain"})
            assert answer.status == 204, answer.data

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def rate(count: int, step: Callable[[], object]) -> float:
    """Thousands of points per second."""
    begun = time.perf_counter()
    step()
    return count / 1e3 / (time.perf_counter() - begun)


def serialised(rig: Rig, rounds: int) -> Iterator[Row]:
    """Arrays into lines, in memory."""
    ours: list[float] = []
    points: list[float] = []
    hand: list[float] = []
    for _ in range(rounds):
        with rig.monitor() as monitor:
            ours.append(rate(rig.count, lambda: record(rig.points, monitor)))
            monitor._texts.clear()
        points.append(rate(rig.count, lambda: list(by_points(rig.points))))
        hand.append(rate(rig.count, lambda: by_hand(rig.points)))
    yield row("metrics.points", ours, points, "client's Point", "k/s")
    yield row("metrics.points.hand", ours, hand, "f-strings", "k/s")


def posted(rig: Rig, server: InfluxServer, rounds: int) -> Iterator[Row]:
    """Into the server. Every step has its own points; in the end all of them are counted."""
    rates: dict[str, list[float]] = {"whole": [], "drain": [], "points": [], "lines": [], "written": []}
    for _ in range(rounds):
        rig.points.fresh()
        rates["whole"].append(rate(rig.count, rig.through_the_spool))
        rig.points.fresh()
        rates["points"].append(rate(rig.count, rig.client_posts_points))
        rig.points.fresh()
        lines = by_hand(rig.points)
        rates["lines"].append(rate(rig.count, lambda: rig.posts_lines(lines)))  # noqa: B023
        rig.points.fresh()
        with rig.monitor() as monitor:
            record(rig.points, monitor)
            rates["written"].append(rate(rig.count, monitor.write))
        rates["drain"].append(rate(rig.count, rig.drain))
    found = server.count("stats", "noise")
    if found != 4 * rounds * rig.count:
        raise SystemExit(f"{4 * rounds * rig.count} points were written, {found} are in the database")
    yield row("metrics.posted", rates["whole"], rates["points"], "client, Points", "k/s")
    yield row("metrics.posted.lines", rates["drain"], rates["lines"], "ready lines", "k/s", counted=found)
    yield row("metrics.spooled", rates["written"], rates["lines"], "ready lines", "k/s")


def measure(work: Path, *, quick: bool) -> Iterator[Row]:
    """All rows."""
    with InfluxServer(work / "influx") as server:
        server.query("CREATE DATABASE nightferry")
        rig = Rig(server, work, 100_000 if quick else 300_000)
        rig.posts_lines(by_hand(Points(1000)))  # connections open, the shard made
        server.query('DROP MEASUREMENT "stats"', "nightferry")
        yield from serialised(rig, 3 if quick else 7)
        yield from posted(rig, server, 3 if quick else 7)
        rig.close()


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "fewer points and rounds; below 45 s").parse_args()
    with tempfile.TemporaryDirectory() as name:
        show_all(measure(Path(name), quick=options.quick), options)


if __name__ == "__main__":
    main()
