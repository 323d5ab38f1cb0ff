"""The spool's way into real servers: InfluxDB 1.6.7 natively and through the version 2 interface, VictoriaMetrics."""

from __future__ import annotations

import gzip
import http.server
import json
import random
import string
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.core.metrics.drain import Drained, Drainer
from services.core.metrics.drainage import rejected_points, take
from services.core.metrics.influx import Answer, InfluxUnreachable, Post, post_to
from services.core.metrics.spool import Spool
from services.core.metrics_settings import InfluxSettings
from services.core.secret import Secret
from tests.fixtures.influx_server import InfluxServer, VictoriaServer

T0 = 10**18


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "metrics.sqlite", "testsite")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NF_TEST_TOKEN", "any")
    monkeypatch.setenv("NF_TEST_PASSWORD", "secret")
    monkeypatch.setenv("NF_TEST_WRONG", "wrong")


def version_2(url: str, bucket: str = "nightferry") -> Post:
    token = Secret(env="NF_TEST_TOKEN")
    return post_to(InfluxSettings(version=2, url=url, org="o", bucket=bucket, token=token, timeout_s=5))


def version_1(server: InfluxServer, **more: Any) -> Post:
    return post_to(InfluxSettings(version=1, url=server.native, database="nightferry", timeout_s=5, **more))


def drain(spool: Spool, post: Post, batch: int = 100) -> list[int]:
    """Until nothing waits; the points of every step."""
    steps = []
    drainer = Drainer(spool, post, batch)
    while done := drainer.step().points:
        steps.append(done)
    post.close()
    return steps


class Counting:
    """A way to post that counts, before a real one."""

    def __init__(self, post: Post) -> None:
        self.inner = post
        self.posts = 0

    def post(self, body: bytes) -> Answer:
        self.posts += 1
        return self.inner.post(body)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("way", ["version 2", "version 1"])
def test_the_spool_is_drained_in_order_and_a_replay_changes_nothing(
    spool: Spool, influx: InfluxServer, way: str
) -> None:
    def post() -> Post:
        return version_2(influx.url) if way == "version 2" else version_1(influx)

    name = f"drained by {way}, =#1"
    for number in range(250):
        spool.write(name, {"v": float(number), "text": 'é, "q" \\'}, {"amp": "A B,=", "x": "é"}, time_ns=T0 + number)
    lines = [block.body for block in take(spool, 1000)]
    assert drain(spool, post()) == [100, 100, 50]
    spool.write_lines(line.decode().rstrip("\n") for line in lines)
    drain(spool, post())
    columns = influx.rows(f'SELECT v, text, amp, x, site FROM "{name}"')
    expected = [[T0 + number, float(number), 'é, "q" \\', "A B,=", "é", "testsite"] for number in range(250)]
    assert columns == expected
    assert spool.count() == (0, 0)


@pytest.mark.parametrize("bad", [{17}, {0, 29}, set(range(1, 30)), set(range(10, 20))])
def test_bad_points_are_set_aside_with_their_reason_and_block_nothing(
    spool: Spool, influx: InfluxServer, bad: set[int]
) -> None:
    name = f"typed{len(bad)}"
    spool.write(name, {"v": 1.0}, time_ns=T0 - 1)
    drain(spool, version_2(influx.url))
    for number in range(30):
        spool.write(name, {"v": "a string" if number in bad else float(number)}, time_ns=T0 + number)
    counting = Counting(version_2(influx.url))
    drain(spool, counting)
    assert spool.count() == (0, len(bad))
    assert influx.count(name) == 31 - len(bad)
    assert counting.posts <= 3
    for point in rejected_points(spool):
        assert "field type conflict" in point.reason and 'v="a string"' in point.line


def test_lines_that_cannot_be_parsed_and_two_conflicts_in_one_batch(spool: Spool, influx: InfluxServer) -> None:
    spool.write("two", {"a": 1.0, "b": 1.0}, time_ns=T0)
    drain(spool, version_1(influx))
    lines = [f"two,site=s a={n}.0,b={n}.0 {T0 + n}" for n in range(1, 40)]
    lines[3] = f"two a=true {T0 + 5}"
    lines[11] = f"two {T0 + 8}"
    lines[20] = f'two,site=s a=1.0,b="x" {T0 + 21}'
    lines[21] = f"two a=99999999999999999999i {T0 + 7}"
    spool.write_lines(lines)
    drain(spool, version_1(influx))
    assert sorted(point.line for point in rejected_points(spool)) == sorted([lines[n] for n in (3, 11, 20, 21)])
    assert influx.count("two", "a") == 1 + 35


def test_a_conflict_in_one_day_of_two_is_found(spool: Spool, influx: InfluxServer) -> None:
    """A batch that spans two of InfluxDB's shards: each answers for its own points."""
    far = T0 + 30 * 86_400 * 10**9
    spool.write_lines([f"shards v=1.0 {T0}", f"shards v=1i {far}"])
    drain(spool, version_1(influx))
    spool.write_lines([f"shards v={n}i {T0 + n}" if n % 2 else f"shards v={n}i {far + n}" for n in range(1, 41)])
    drain(spool, version_1(influx))
    assert spool.count()[0] == 0
    assert influx.count("shards") + spool.count()[1] == 42


def test_a_batch_that_is_too_large_is_halved(spool: Spool, tmp_path: Path) -> None:
    with InfluxServer(tmp_path / "small", max_body=3000) as small:
        small.query("CREATE DATABASE nightferry")
        spool.write_lines(f"m v={n * 7919 % 1000}i {T0 + n}" for n in range(2000))
        noise = "".join(random.Random(1).choices(string.ascii_letters, k=9000))  # hardly to be packed
        spool.write_lines([f'm s="{noise}" 1'])
        drain(spool, version_2(small.url), 5000)
        assert small.count("m") == 2000
        (point,) = rejected_points(spool)
        assert point.reason.startswith("413")


def test_without_a_server_the_points_wait(spool: Spool) -> None:
    spool.write("m", {"v": 1.0})
    for post in (
        version_2("http://127.0.0.1:9"),
        post_to(InfluxSettings(version=1, url="http://127.0.0.1:9", database="d")),
    ):
        with pytest.raises(InfluxUnreachable):
            Drainer(spool, post, 100).step()
        post.close()
    assert spool.count() == (1, 0)


def test_a_bucket_that_is_not_there_yet_is_waited_for(spool: Spool, influx: InfluxServer) -> None:
    spool.write("m", {"v": 1.0}, time_ns=T0)
    post = version_2(influx.url, "later")
    with pytest.raises(InfluxUnreachable, match="404"):
        Drainer(spool, post, 100).step()
    assert spool.count() == (1, 0)
    influx.query("CREATE DATABASE later")
    drain(spool, post)
    assert influx.count("m", database="later") == 1


def test_version_1_asks_for_user_and_password(spool: Spool, tmp_path: Path) -> None:
    with InfluxServer(tmp_path / "closed", auth=True) as closed:
        closed.query("CREATE DATABASE nightferry")
        spool.write("m", {"v": 1.0}, time_ns=T0)
        for more in ({}, {"user": "admin", "password": Secret(env="NF_TEST_WRONG")}):
            post = version_1(closed, **more)
            with pytest.raises(InfluxUnreachable, match="401"):
                Drainer(spool, post, 100).step()
            post.close()
        assert spool.count() == (1, 0)
        drain(
            spool, version_1(closed, user="admin", password=Secret(env="NF_TEST_PASSWORD"), retention_policy="autogen")
        )
        assert closed.count("m") == 1


def test_the_writer_tells_of_itself_without_filling_the_spool(spool: Spool, influx: InfluxServer) -> None:
    spool.write("m", {"v": 1.0})
    post = version_1(influx)
    Drainer(spool, post, 100).tell(Drained(points=5, rejected=1, bytes=77), 0.5)
    post.close()
    (row,) = influx.rows("SELECT points, rejected, bytes, seconds, waiting, set_aside, site FROM metrics_writer")
    assert row[1:] == [5, 1, 77, 0.5, 1, 0, "testsite"]
    assert spool.count() == (1, 0)


def test_victoriametrics_takes_the_same_spool(spool: Spool, victoria: VictoriaServer) -> None:
    begin = 1_700_000_000 * 10**9
    for number in range(300):
        spool.write("hk", {"value": number / 7, "text": "x"}, {"p": "a b"}, time_ns=begin + number * 10**9)
    assert drain(spool, post_to(InfluxSettings(version="victoriametrics", url=victoria.url))) == [100, 100, 100]
    (series,) = victoria.export('{__name__="hk_value"}')
    assert series["metric"] == {"__name__": "hk_value", "site": "testsite", "p": "a b"}
    assert series["values"] == pytest.approx([number / 7 for number in range(300)], rel=1e-11)  # it keeps 12 digits
    assert spool.count() == (0, 0)


@contextmanager
def speaking(answers: Callable[[list[str]], tuple[int, bytes, dict[str, str]]]) -> Iterator[str]:
    """A server that reads line protocol and answers as a version does that cannot be had here."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text, headers = answers(gzip.decompress(body).decode().splitlines())
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_version_3_names_the_lines_and_the_rest_is_delivered(spool: Spool) -> None:
    taken: set[str] = set()

    def answers(lines: list[str]) -> tuple[int, bytes, dict[str, str]]:
        taken.update(line for line in lines if "bad" not in line)
        bad = [
            {"original_line": line, "line_number": number, "error_message": "type of 'v'"}
            for number, line in enumerate(lines, 1)
            if "bad" in line
        ]
        if not bad:
            return 204, b"", {}
        return 400, json.dumps({"error": "partial write of line protocol occurred", "data": bad}).encode(), {}

    spool.write_lines(f"m{'bad' if n in (3, 77) else ''} v={n} {n}" for n in range(100))
    with speaking(answers) as url:
        counting = Counting(
            post_to(InfluxSettings(version=3, url=url, bucket="b", token=Secret(env="NF_TEST_TOKEN"), timeout_s=5))
        )
        drain(spool, counting)
    assert counting.posts == 2 and len(taken) == 98
    assert {point.reason for point in rejected_points(spool)} == {"type of 'v'"} and spool.count() == (0, 2)


@pytest.mark.parametrize(
    ("status", "body", "wait_s"),
    [
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>", 0.0),
        (400, b'{"error":"invalid precision"}', 0.0),
        (401, b'{"code":"unauthorized","message":"unauthorized access"}', 0.0),
        (403, b'{"code":"forbidden","message":"insufficient permissions"}', 0.0),
        (404, b'{"code":"not found","message":"bucket not found"}', 0.0),
        (429, b'{"code":"too many requests"}', 7.0),
        (500, b"", 0.0),
        (503, b"", 30.0),
    ],
)
def test_what_is_not_the_points_fault_keeps_them(spool: Spool, status: int, body: bytes, wait_s: float) -> None:
    spool.write_lines(["m v=1 1", "m v=2 2"])
    with speaking(lambda _: (status, body, {"Retry-After": str(wait_s)} if wait_s else {})) as url:
        post = version_2(url)
        with pytest.raises(InfluxUnreachable) as caught:
            Drainer(spool, post, 100).step()
        post.close()
    assert caught.value.retry_after_s == wait_s
    assert spool.count() == (2, 0)
