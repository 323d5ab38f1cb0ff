"""Sources that are servers, or are served: a real broker, a real InfluxDB, real HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from services.core.housekeep_settings import InfluxSource, MqttSource, PushSource
from services.core.secret import Secret
from services.demo.ports import free_port
from services.housekeeping.sources.base import SourceUnreachable
from services.housekeeping.sources.influxdb import InfluxPolled
from services.housekeeping.sources.mqtt import MqttMessages, parameter_of, values_of
from services.housekeeping.sources.push import PushedRows
from tests.fixtures.influx import Influx
from tests.fixtures.mosquitto import Mosquitto
from tests.hk_site import HkSite
from tests.unit.housekeeping.files import Reader

NOW = time.time_ns() // 10**9 * 10**9


def until(reader: Reader, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Poll until something is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, (reader.rows(), reader.bad, reader.notes)
        reader.poll(time.time_ns())
        time.sleep(0.02)


def arrived(reader: Reader, messages: int) -> None:
    """Wait for messages without taking them."""
    deadline = time.monotonic() + 15
    while reader.source._waiting.qsize() < messages:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Publisher:
    """A program that publishes with QoS 1."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, topic: str, payload: Any) -> None:
        text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        self._client.publish(topic, text, qos=1).wait_for_publish(10)

    def keep(self, topic: str, payload: Any) -> None:
        self._client.publish(topic, json.dumps(payload), qos=1, retain=True).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    made = Publisher(mosquitto.port)
    yield made
    made.close()


def mqtt_reader(mosquitto: Mosquitto) -> Reader:
    topics = {"dome/+/temp": "dome.{1}", "weather/#": "{topic}"}
    settings = MqttSource(kind="mqtt", host="127.0.0.1", port=mosquitto.port, client_id="hk", topics=topics)
    return Reader(lambda positions: MqttMessages("met", settings, positions, lambda: None))


def test_messages_while_we_are_away_wait_at_the_broker(mosquitto: Mosquitto, publisher: Publisher) -> None:
    reader = mqtt_reader(mosquitto)
    reader.poll(time.time_ns())
    publisher.say("dome/east/temp", 4.5)
    publisher.say("weather/mast", {"time": "2026-01-01T00:00:00Z", "wind": 12, "mode": "auto", "gust": None})
    publisher.say("dome/east/temp", "no JSON")
    until(reader, lambda: len(reader.rows()) == 2 and len(reader.bad) == 1)
    first, second = (values for _, values in reader.rows())
    assert first == {"dome.east": 4.5}
    assert second["weather.mast.wind"] == 12.0 and second["weather.mast.mode"] == "auto"
    reader.source.close()
    for number in range(60):  # more than the broker has in flight
        publisher.say("dome/west/temp", number)
    reader.restart()
    until(reader, lambda: len(reader.rows()) == 62)
    assert [values["dome.west"] for _, values in reader.rows()[2:]] == list(range(60))
    reader.source.close()


def test_a_value_that_the_broker_has_kept_is_no_new_one(mosquitto: Mosquitto, publisher: Publisher) -> None:
    """At every start the broker says retained messages again: a dead sensor would live for ever."""
    publisher.keep("dome/old/temp", 1)
    publisher.keep("weather/old", {"time": "2026-01-01T00:00:00Z", "wind": 1})
    reader = mqtt_reader(mosquitto)
    until(reader, lambda: reader.notes.get("retained", 0) == 1 and len(reader.rows()) == 1)
    reader.restart()
    publisher.say("dome/old/temp", 2)
    until(reader, lambda: len(reader.rows()) == 2 and reader.notes["retained"] >= 2)
    assert [values for _, values in reader.rows()] == [{"weather.old.wind": 1.0}, {"dome.old": 2.0}]
    reader.source.close()


def test_what_was_not_committed_comes_again_and_what_was_does_not(mosquitto: Mosquitto, publisher: Publisher) -> None:
    reader = mqtt_reader(mosquitto)
    reader.poll(time.time_ns())
    for number in range(5):
        publisher.say("dome/x/temp", number)
    arrived(reader, 5)
    lost = reader.source.poll(time.time_ns())  # a process that dies here has committed nothing
    assert sum(map(len, lost.samples)) == 5
    reader.restart()
    until(reader, lambda: len(reader.rows()) == 5)
    for number in range(5, 8):
        publisher.say("dome/x/temp", number)
    arrived(reader, 3)
    reader.source.committed = lambda: None  # type: ignore[method-assign]  # and here before the broker hears
    reader.poll(time.time_ns())
    assert len(reader.rows()) == 8
    reader.restart()
    until(reader, lambda: reader.notes.get("repeated", 0) == 3)
    assert len(reader.rows()) == 8
    reader.source.close()


def test_a_broker_that_is_down_is_said_and_found_again(mosquitto: Mosquitto) -> None:
    reader = mqtt_reader(mosquitto)
    reader.poll(time.time_ns())
    reader.source.close()
    mosquitto.stop()
    with pytest.raises(SourceUnreachable, match="refused"):
        reader.source.poll(time.time_ns())
    mosquitto.start()
    reader.restart()
    reader.poll(time.time_ns())
    publisher = Publisher(mosquitto.port)
    publisher.say("dome/x/temp", 1)
    publisher.close()
    until(reader, lambda: len(reader.rows()) == 1)
    reader.source.close()


def test_topics_and_payloads() -> None:
    assert parameter_of("a/b/c", {"a/+/+": "{1}-{2}"}) == "b-c"
    assert parameter_of("a/b", {"a/+/c": "x", "a/#": "{topic}"}) == "a.b"
    with pytest.raises(ValueError, match="did not ask"):
        parameter_of("b", {"a": "x"})
    for payload in (b"[1]", b"\xff", b'{"a": [1]}', b"{}", b"[" * 60_000):
        with pytest.raises((ValueError, RecursionError)):
            values_of(payload, "p", "time", lambda text, _: int(text))


def influx_reader(influx: Influx, measurement: str, **more: Any) -> Reader:
    query = f'SELECT "t", "rh" FROM "{measurement}" WHERE {{time}} GROUP BY "door"'
    wanted = {"kind": "influxdb", "url": influx.url, "database": "nightferry", "query": query, "begin_s": 600}
    settings = InfluxSource(**{**wanted, "parameter": "{door}.{field}", "overlap_s": 60, **more})
    return Reader(lambda positions: InfluxPolled("dome", settings, positions))


def write(influx: Influx, *lines: str) -> None:
    data = "\n".join(lines).encode()
    urllib.request.urlopen(f"{influx.url}/write?db=nightferry", data=data, timeout=10).close()


def point(measurement: str, door: str, second: int, value: float) -> str:
    return f"{measurement},door={door} t={value} {NOW + second * 10**9}"


def test_late_points_are_found_and_none_is_taken_twice(influx: Influx) -> None:
    name = f"late{time.time_ns()}"
    reader = influx_reader(influx, name)
    write(influx, *(point(name, door, -100 + second, second) for second in range(50) for door in ("a", "b")))
    reader.poll(NOW - 40 * 10**9)
    assert len(reader.rows()) == 50 and reader.samples[0].parameters == ("a.t", "b.t")
    reader.restart()
    write(influx, point(name, "a", -70, 1000), point(name, "a", -20, 2000), f'{name},door=a rh="dry" {NOW - 10**10}')
    reader.poll(NOW)
    reader.poll(NOW)
    fresh = [(round((when - NOW) / 1e9), values) for when, values in reader.rows()[50:]]
    assert sorted(fresh, key=str) == [(-10, {"a.rh": "dry"}), (-20, {"a.t": 2000.0})]  # -70 replaced what was there
    write(influx, f"{name},door=c t=7 {NOW - 55 * 10**9}")
    reader.poll(NOW + 10**9)
    assert reader.rows()[-1] == (NOW - 55 * 10**9, {"c.t": 7.0})
    assert reader.notes["late"] == 1


def test_our_clock_that_was_a_day_ahead_does_not_blind(influx: Influx) -> None:
    name = f"ahead{time.time_ns()}"
    reader = influx_reader(influx, name, window_s=200_000)
    write(influx, point(name, "a", -5, 1))
    reader.poll(NOW + 86_400 * 10**9)
    write(influx, point(name, "a", 1, 2))
    reader.poll(NOW)  # put right
    reader.poll(NOW + 2 * 10**9)
    assert [values["a.t"] for _, values in reader.rows()][-1] == 2.0


def test_much_to_catch_up_comes_in_windows(influx: Influx) -> None:
    name = f"long{time.time_ns()}"
    write(influx, *(point(name, "a", -500 + second, second) for second in range(400)))
    reader = influx_reader(influx, name, window_s=90)
    assert reader.source.poll(NOW).more
    reader.restart()
    reader.poll(NOW)
    assert [values["a.t"] for _, values in reader.rows()] == list(range(400))


@pytest.mark.parametrize("wrong", [{"url": "http://127.0.0.1:9"}, {"database": "none"}, {"query": "SELECT x {time}"}])
def test_an_influxdb_that_does_not_answer_is_said(influx: Influx, wrong: dict[str, str]) -> None:
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1"):
        influx_reader(influx, "m", **wrong).poll(NOW)


def post(port: int, body: bytes, token: str = "secret", path: str = "/write", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Authorization": f"Token {token}", **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def push(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Reader]]:
    monkeypatch.setenv("NF_PUSH", "secret")
    made: list[Reader] = []

    def build(**more: Any) -> Reader:
        settings = PushSource(kind="push", port=free_port(), token=Secret(env="NF_PUSH"), **more)
        made.append(Reader(lambda positions: PushedRows("front", settings, positions, lambda: None)))
        made[-1].poll(NOW)
        return made[-1]

    yield build
    for reader in made:
        reader.source.close()


def port_of(reader: Reader) -> int:
    return int(reader.source._settings.port)  # type: ignore[attr-defined]


def pushed(reader: Reader, body: bytes, **more: Any) -> tuple[int, str]:
    """Post, while the source is polled as the daemon does."""
    answers: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: answers.append(post(port_of(reader), body, **more)))
    thread.start()
    until(reader, lambda: not thread.is_alive())
    return answers[0]


def test_what_is_pushed_is_answered_when_it_is_safe_and_not_taken_twice(push: Callable[..., Reader]) -> None:
    reader = push(timeout_s=0.4)
    body = f"dome,door=a t=1.5,open=t {NOW}\nnonsense\ndome,door=a t=2,open=f {NOW + 5}\n".encode()
    status, words = post(port_of(reader), body)  # nobody commits
    assert status == 503 and "not be taken twice" in words
    reader.restart()
    reader.source.poll(NOW)  # it listens
    assert pushed(reader, body) == (204, "")
    reader.restart()
    reader.source.poll(NOW)  # it listens
    assert pushed(reader, body) == (204, "")
    assert reader.rows() == [(NOW, {"dome.t": 1.5, "dome.open": 1.0}), (NOW + 5, {"dome.t": 2.0, "dome.open": 0.0})]
    assert [number for _, number, _ in reader.bad] == [2]


def test_json_and_precisions(push: Callable[..., Reader]) -> None:
    reader = push()
    rows = [{"time": "2026-01-01T00:00:00Z", "values": {"a": 1, "mode": "auto", "b": None}}, {"values": {"c": True}}]
    assert pushed(reader, json.dumps(rows).encode(), path="/json")[0] == 204
    assert pushed(reader, f"m f=1 {NOW // 10**9}".encode(), path="/api/v2/write?precision=s&bucket=x")[0] == 204
    found = [values for _, values in reader.rows()]
    assert found[0]["a"] == 1.0 and found[0]["mode"] == "auto" and found[1] == {"c": 1.0}
    assert reader.rows()[2] == (NOW, {"m.f": 1.0})


def test_who_is_not_let_in(push: Callable[..., Reader]) -> None:
    reader = push(max_bytes=1024)
    port = port_of(reader)
    assert post(port, b"m f=1", token="wrong")[0] == 401
    assert post(port, b"m f=1", path="/other")[0] == 404
    assert post(port, b"m f=1", path="/write?precision=year")[0] == 400
    assert post(port, b"m f=1", **{"Content-Encoding": "gzip"})[0] == 415
    assert post(port, b"x" * 2000)[0] == 413
    status, words = pushed(reader, b"no line at all")
    assert status == 400 and "no good line" in words
    assert pushed(reader, f"m f=1 {NOW + 10**15}".encode())[0] == 400
    assert reader.rows() == []


def raw(port: int, data: bytes) -> bytes:
    """What the server says to these very bytes, until it ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        said = b""
        while more := connection.recv(4096):
            said += more
        return said


def test_a_request_within_a_request_is_none(push: Callable[..., Reader]) -> None:
    port = port_of(push())
    inner = b"POST /write HTTP/1.1\r\nAuthorization: Token secret\r\nContent-Length: 5\r\n\r\nm f=1"
    start = b"POST /write HTTP/1.1\r\nAuthorization: Token secret\r\n"
    chunked = start + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner
    twice = start + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nm f=1" + inner
    got = b"GET /health HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner
    for data, status in ((chunked, b"400"), (twice, b"400"), (got, b"200")):
        answer = raw(port, data)
        assert answer.startswith(b"HTTP/1.1 " + status) and answer.count(b"HTTP/1.1") == 1


def test_who_drips_is_sent_away_and_stops_no_other(push: Callable[..., Reader]) -> None:
    reader = push(timeout_s=0.3)
    slow = [socket.create_connection(("127.0.0.1", port_of(reader)), timeout=20) for _ in range(200)]
    for connection in slow:
        with contextlib.suppress(OSError):  # more than there is room for
            connection.sendall(b"POST /write HTTP/1.1\r\n")
    deadline = time.monotonic() + 20
    dripping = set(slow)
    while dripping:
        assert time.monotonic() < deadline
        for connection in tuple(dripping):
            try:
                connection.sendall(b"A")  # always a byte, so that no reading lasts long
            except OSError:
                dripping.discard(connection)
                connection.close()
        time.sleep(0.02)
    assert pushed(reader, f"m f=1 {NOW}".encode())[0] == 204


def test_the_daemon_answers_a_push_within_its_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NF_PUSH", "secret")
    port = free_port()
    site = HkSite(tmp_path / "site", {"front": {"kind": "push", "port": port, "token": {"env": "NF_PUSH"}}})
    try:
        site.start()
        site.wait(lambda: '"ready"' in site.log(), "start")
        deadline = time.monotonic() + 10
        while True:
            try:
                assert post(port, f"m f=1 {NOW}".encode())[0] == 204
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert site.last()[("front", "m.f")].value == 1.0
        assert site.stop() == 0
    finally:
        site.close()
