"""Metrics and queries over https: a real InfluxDB behind an nginx whose authority only `ca_file` knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from services.cli.main import cli
from services.core.errors import BadSettings
from services.core.housekeep_settings import InfluxSource
from services.core.metrics.ask import Elsewhere
from services.core.metrics.influx import InfluxUnreachable
from services.core.metrics.spool import Spool
from services.core.metrics_settings import InfluxSettings
from services.core.secret import Secret
from services.core.settings import load_settings
from services.housekeeping.sources.base import SourceUnreachable
from services.housekeeping.sources.influxdb import InfluxPolled
from tests.fixtures.certificates import Authority, make_authority
from tests.fixtures.influx_server import TOKEN, InfluxServer
from tests.unit.housekeeping.files import Reader

T0 = 10**18
NOT_BELIEVED = "the server's certificate is not believed: "
FAILURES = ["another authority", "no ca_file", "another name", "expired", "no TLS"]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[InfluxServer]:
    root = tmp_path_factory.mktemp("secure")
    with InfluxServer(root, auth=True, certificate=authority.issue("127.0.0.1")) as server:
        server.query("CREATE DATABASE nightferry")
        yield server


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NF_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("NF_TEST_PASSWORD", "secret")


def way(server: InfluxServer, authority: Authority, version: int) -> dict[str, Any]:
    """The section of the settings."""
    login: dict[str, Any] = {"database": "nightferry", "user": "admin", "password": {"env": "NF_TEST_PASSWORD"}}
    if version == 2:
        login = {"org": "o", "bucket": "nightferry", "token": {"env": "NF_TEST_TOKEN"}}
    return {"version": version, "url": server.url, "ca_file": str(authority.ca_file), "timeout_s": 5, **login}


def config_of(tmp_path: Path, influxdb: dict[str, Any]) -> Path:
    path = tmp_path / "site.yaml"
    ledger = {"url": f"sqlite:///{tmp_path}/ledger.sqlite"}
    metrics = {"poll_s": 0.05, "influxdb": influxdb}
    path.write_text(yaml.safe_dump({"site": "s", "state_dir": str(tmp_path), "ledger": ledger, "metrics": metrics}))
    return path


def fill(tmp_path: Path, name: str, points: int) -> Spool:
    spool = Spool(tmp_path / "metrics.sqlite", "s")
    for number in range(points):
        spool.write(name, {"v": float(number)}, time_ns=T0 + number)
    return spool


def broken(server: InfluxServer, authority: Authority, tmp_path: Path, how: str) -> tuple[dict[str, Any], str]:
    """What is changed in the settings for a way that nobody may trust, and what is said of it."""
    if how == "another authority":
        (tmp_path / "other").mkdir(exist_ok=True)
        other = str(make_authority(tmp_path / "other").ca_file)
        return {"ca_file": other}, NOT_BELIEVED + "unable to get local issuer certificate"
    if how == "no ca_file":
        return {"ca_file": None}, NOT_BELIEVED + "unable to get local issuer certificate"
    if how == "another name":
        words = "Hostname mismatch, certificate is not valid for 'localhost'"
        return {"url": server.url.replace("127.0.0.1", "localhost")}, NOT_BELIEVED + words
    if how == "no TLS":
        return {"url": server.native.replace("http:", "https:")}, "no TLS is spoken there"
    return {}, NOT_BELIEVED + "certificate has expired"


@pytest.fixture
def expired(secure: InfluxServer, authority: Authority) -> Iterator[InfluxServer]:
    """The same server with a certificate of yesterday, until the end of the test."""
    secure.stop_front()
    secure.show(authority.issue("127.0.0.1", expired=True))
    secure.start()
    yield secure
    renew(secure, authority)


def renew(server: InfluxServer, authority: Authority, clients: Path | None = None) -> None:
    server.stop_front()
    server.show(authority.issue("127.0.0.1"), clients)
    server.start()


@pytest.fixture
def particular(secure: InfluxServer, authority: Authority) -> Iterator[InfluxServer]:
    """The same server, which lets nobody in whose certificate the authority has not signed, until the test ends."""
    renew(secure, authority, clients=authority.ca_file)
    yield secure
    renew(secure, authority)


def run(*words: str) -> tuple[int, str]:
    """A verb as a person runs it: exit code, and what it says."""
    done = CliRunner().invoke(cli, ["metrics", *words], standalone_mode=False)
    said = "" if done.exception is None else f"{type(done.exception).__name__}: {done.exception}"
    return int(getattr(done.exception, "exit_code", done.return_value or 0)), done.stderr + said


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("how", FAILURES)
def test_points_wait_for_a_server_that_can_be_believed(
    secure: InfluxServer,
    authority: Authority,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    version: int,
    how: str,
) -> None:
    if how == "expired":
        request.getfixturevalue("expired")
    name = f"tls_{version}_{FAILURES.index(how)}"
    good = way(secure, authority, version)
    change, words = broken(secure, authority, tmp_path, how)
    config = config_of(tmp_path, {**good, **change})
    spool = fill(tmp_path, name, 50)
    code, said = run("drain", "-c", str(config))
    assert code == 3 and f"InfluxUnreachable: InfluxDB https://{(change.get('url') or secure.url)[8:]}: {words}" in said
    assert "\n" not in said.strip() and spool.count() == (50, 0) and secure.count(name) == 0
    if how == "expired":
        renew(secure, authority)
    config = config_of(tmp_path, good)
    assert run("drain", "-c", str(config)) == (0, "50 points delivered, 0 set aside, 0 waiting\n")
    assert spool.count() == (0, 0) and secure.count(name) == 50
    assert secure.url in run("status", "-c", str(config))[1]


def test_the_daemon_goes_on_trying_and_loses_nothing(
    expired: InfluxServer, authority: Authority, tmp_path: Path
) -> None:
    spool = fill(tmp_path, "tls_daemon", 200)
    config = config_of(tmp_path, way(expired, authority, 2))
    command = [sys.executable, "-m", "services.cli.main", "metrics", "-c", str(config)]
    log = tmp_path / "log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=os.environ) as process:
        try:
            wait(lambda: "certificate has expired" in log.read_text(), log)
            assert process.poll() is None and spool.count()[0] >= 200  # with its own start
            renew(expired, authority)
            fill(tmp_path, "tls_daemon_2", 50)
            wait(lambda: spool.count() == (0, 0), log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
    assert (expired.count("tls_daemon"), expired.count("tls_daemon_2")) == (200, 50)


def wait(condition: Any, log: Path) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_a_file_that_is_no_authority_is_told_before_anything_is_sent(
    secure: InfluxServer, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("nothing\n")
    fill(tmp_path, "tls_none", 1)
    config = config_of(tmp_path, {**way(secure, authority, 1), "ca_file": str(tmp_path / "ca.pem")})
    code, said = run("drain", "-c", str(config))
    assert code == 2 and f"ca_file: {tmp_path}/ca.pem: expected a certificate (PEM)" in said
    with pytest.raises(BadSettings, match="'ca_file' goes with https"):
        load_settings(config_of(tmp_path, {**way(secure, authority, 1), "url": secure.native}))


def test_monitor_asks_over_https(secure: InfluxServer, authority: Authority, tmp_path: Path) -> None:
    config = config_of(tmp_path, way(secure, authority, 1))
    Spool(tmp_path / "metrics.sqlite", "s").write("obs_log", {"points": 1}, {"field": "noise"}, time_ns=T0)
    assert run("drain", "-c", str(config))[0] == 0
    good = InfluxSettings(**way(secure, authority, 1))
    assert Elsewhere(good).has("obs_log", {"field": "noise"}) and not Elsewhere(good).has("obs_log", {"field": "x"})
    with pytest.raises(InfluxUnreachable, match=NOT_BELIEVED):
        Elsewhere(good.model_copy(update={"ca_file": None})).has("obs_log", {"field": "noise"})


def polled(secure: InfluxServer, authority: Authority, **more: Any) -> Reader:
    wanted = {"kind": "influxdb", "url": secure.url, "ca_file": str(authority.ca_file), "database": "nightferry"}
    login = {"user": "admin", "password": Secret(env="NF_TEST_PASSWORD")}
    query = "SELECT t FROM tls_hk WHERE {time}"
    settings = InfluxSource(**{**wanted, **login, "query": query, "parameter": "{field}", "begin_s": 600, **more})
    return Reader(lambda positions: InfluxPolled("dome", settings, positions))


def test_housekeeping_is_asked_for_over_https(secure: InfluxServer, authority: Authority, tmp_path: Path) -> None:
    config = config_of(tmp_path, way(secure, authority, 1))
    Spool(tmp_path / "metrics.sqlite", "s").write("tls_hk", {"t": 4.5}, time_ns=T0)
    assert run("drain", "-c", str(config))[0] == 0
    reader = polled(secure, authority)
    reader.poll(T0 + 10**9)
    assert [values for _, values in reader.rows()] == [{"t": 4.5}]
    for how in FAILURES:
        if how != "expired":
            change, words = broken(secure, authority, tmp_path, how)
            with pytest.raises(SourceUnreachable, match=f"^https://.*: {words}"):
                polled(secure, authority, **change).poll(T0 + 10**9)


@pytest.mark.parametrize("version", [1, 2])
def test_who_shows_its_own_certificate_is_let_in(
    particular: InfluxServer, authority: Authority, tmp_path: Path, version: int
) -> None:
    name, good = f"tls_own_{version}", way(particular, authority, version)
    own = str(authority.issue("nightferry"))
    (tmp_path / "other").mkdir()
    stranger = str(make_authority(tmp_path / "other").issue("nightferry"))
    spool = fill(tmp_path, name, 50)
    # given no certificate, or one that another authority has signed
    for shown in ({}, {"cert_file": stranger, "key_file": stranger}):
        code, said = run("drain", "-c", str(config_of(tmp_path, good | shown)))
        assert code == 3 and "InfluxUnreachable" in said and "SSL certificate" in said
        assert spool.count() == (50, 0), "none is set aside: it is not the points' fault"
    # when our own is shown, then all get there
    config = config_of(tmp_path, {**good, "cert_file": own, "key_file": own})
    assert run("drain", "-c", str(config)) == (0, "50 points delivered, 0 set aside, 0 waiting\n")
    assert particular.count(name) == 50
    # and can be asked for
    query = f"SELECT v FROM {name} WHERE {{time}}"
    reader = polled(particular, authority, cert_file=own, key_file=own, query=query)
    reader.poll(T0 + 10**9)
    assert len(reader.rows()) == 50
    with pytest.raises(SourceUnreachable, match="400"):
        polled(particular, authority, query=query).poll(T0 + 10**9)


def test_a_redirection_takes_no_login_with_it(secure: InfluxServer, authority: Authority) -> None:
    with pytest.raises(SourceUnreachable, match=": 307 "):
        polled(secure, authority, url=f"{secure.url}/moved").poll(T0 + 10**9)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ca_file": "/etc/ca.pem", "url": "http://h"}, "'ca_file' goes with https"),
        ({"cert_file": "/etc/own.pem"}, "'cert_file' and 'key_file' go together"),
        ({"user": "u"}, "'user' and 'password' go together"),
        ({"user": "u", "password": {"env": "P"}, "token": {"env": "T"}}, "not both"),
        ({"verify": False}, "Extra inputs"),  # nothing switches verification off
    ],
)
def test_settings_of_a_source_that_contradict_themselves(more: dict[str, Any], said: str) -> None:
    base = {"kind": "influxdb", "url": "https://h", "database": "d", "query": "SELECT x FROM y WHERE {time}"}
    with pytest.raises(ValueError, match=said):
        InfluxSource(**{**base, **more})
