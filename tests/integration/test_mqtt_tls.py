"""Housekeeping by MQTT over TLS: a real mosquitto with an authority of its own, and every way not to believe it."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from services.core.housekeep_settings import MqttSource
from services.core.inspection import mistakes_of
from services.housekeeping.sources.base import SourceUnreachable
from services.housekeeping.sources.mqtt import MqttMessages
from tests.fixtures.certificates import Authority, make_authority
from tests.fixtures.mosquitto import Mosquitto
from tests.hk_site import HkSite
from tests.unit.housekeeping.files import Reader

USER, PASSWORD = "housekeeper", "s3cret word"


@pytest.fixture
def broker(mosquitto: Mosquitto, authority: Authority, tmp_path: Path) -> Iterator[Mosquitto]:
    """It speaks TLS only, and wants user and password."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), USER, PASSWORD], check=True, capture_output=True)
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    (tmp_path / "secret").chmod(0o600)
    passwords.chmod(0o644)
    change(mosquitto, authority.issue("127.0.0.1"), f"password_file {passwords}")
    yield mosquitto


def change(broker: Mosquitto, certificate: Path, *lines: str) -> None:
    """Start it anew with another certificate."""
    broker.stop()
    broker.configure(f"certfile {certificate}", f"keyfile {certificate}", *lines)
    broker.start()


def wanted(broker: Mosquitto, authority: Authority, tmp_path: Path, **more: Any) -> dict[str, Any]:
    """A source as the settings file has it."""
    login = {"user": USER, "password": {"file": str(tmp_path / "secret")}}
    where = {"kind": "mqtt", "host": "127.0.0.1", "port": broker.port, "client_id": "hk", "tls": True}
    return {**where, "ca_file": str(authority.ca_file), "topics": {"dome/+": "dome.{1}"}, **login, **more}


def reader_of(settings: dict[str, Any]) -> Reader:
    source = MqttSource(**settings)
    return Reader(lambda positions: MqttMessages("met", source, positions, lambda: None))


def publish(broker: Mosquitto, authority: Authority, value: float) -> None:
    """Say a value with QoS 1, as some other program."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.tls_set_context(ssl.create_default_context(cafile=str(authority.ca_file)))
    client.username_pw_set(USER, PASSWORD)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("dome/x", json.dumps(value), qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def refused(settings: dict[str, Any]) -> str:
    """What the source says, in one line and at once."""
    reader = reader_of(settings)
    begun = time.monotonic()
    with pytest.raises(SourceUnreachable) as caught:
        reader.poll(time.time_ns())
    assert "\n" not in str(caught.value) and PASSWORD not in str(caught.value)
    assert time.monotonic() - begun < 9.0  # not after the whole patience
    reader.source.close()
    return str(caught.value)


def test_messages_come_over_tls_with_a_login(broker: Mosquitto, authority: Authority, tmp_path: Path) -> None:
    reader = reader_of(wanted(broker, authority, tmp_path))
    reader.poll(time.time_ns())
    publish(broker, authority, 4.5)
    deadline = time.monotonic() + 15
    while not reader.rows():
        assert time.monotonic() < deadline
        reader.poll(time.time_ns())
    assert [values for _, values in reader.rows()] == [{"dome.x": 4.5}]
    assert reader.samples[0].origin == f"mqtts://127.0.0.1:{broker.port}"
    reader.source.close()


def test_a_broker_that_we_do_not_believe(broker: Mosquitto, authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    good = wanted(broker, authority, tmp_path)
    unknown = "the server's certificate is not believed: unable to get local issuer certificate"
    assert unknown in refused({**good, "ca_file": str(make_authority(other).ca_file)})
    assert unknown in refused({**good, "ca_file": None})
    assert "not valid for 'localhost'" in refused({**good, "host": "localhost"})
    (tmp_path / "secret").write_text("wrong\n")
    assert "refuses us: Not authorized" in refused(good)
    assert "does it want tls?" in refused({**good, "tls": False, "ca_file": None})
    change(broker, authority.issue("127.0.0.1", expired=True))
    assert "not believed: certificate has expired (or is our clock wrong?)" in refused(good)
    broker.stop()
    broker.configure()
    broker.start()
    assert re.search("no TLS is spoken there|broke TLS off|reset by peer", refused(good))


def test_a_broker_that_asks_for_our_certificate(broker: Mosquitto, authority: Authority, tmp_path: Path) -> None:
    change(broker, authority.issue("127.0.0.1"), f"cafile {authority.ca_file}", "require_certificate true")
    good = wanted(broker, authority, tmp_path)
    assert "does it ask for our certificate (cert_file)?" in refused(good)
    ours = str(authority.issue("housekeeper"))
    reader = reader_of({**good, "cert_file": ours, "key_file": ours})
    reader.poll(time.time_ns())  # does not raise: it is in
    reader.source.close()


def test_the_daemon_goes_on_trying_and_tells(broker: Mosquitto, authority: Authority, tmp_path: Path) -> None:
    change(broker, authority.issue("127.0.0.1", expired=True))
    site = HkSite(tmp_path / "site", {"met": wanted(broker, authority, tmp_path, unreachable_after_s=0.2)})
    alert = "housekeeping:met:-:unreachable"
    try:
        site.start()
        site.wait(lambda: alert in site.alerts(), "alert")
        assert "not believed: certificate has expired" in site.alerts()[alert].message
        change(broker, authority.issue("127.0.0.1"))
        site.wait(lambda: not site.alerts()[alert].open, "end of the alert")
        publish(broker, authority, 7.0)
        site.wait_for("met", "dome.x", 7.0)
        said = [text for text in site.log().splitlines() if "a source does not answer" in text]
        assert sum("certificate has expired" in text for text in said) == 1
        assert site.stop() == 0
    finally:
        site.close()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tls": False}, "'ca_file' goes with 'tls: true'"),
        ({"cert_file": "/etc/c.pem"}, "'cert_file' and 'key_file' go together"),
        ({"user": None}, "'password' needs 'user'"),
        ({"verify": False}, "Extra inputs"),  # nothing switches verification off
    ],
)
def test_settings_that_contradict_themselves(more: dict[str, Any], said: str) -> None:
    base: dict[str, Any] = {
        "kind": "mqtt",
        "host": "h",
        "client_id": "c",
        "topics": {"a": "a"},
        "tls": True,
        "user": "u",
    }
    with pytest.raises(ValueError, match=said):
        MqttSource(**{**base, "ca_file": "/etc/ca.pem", "password": {"env": "P"}, **more})
    assert MqttSource(**base).port == 8883 and MqttSource(**{**base, "tls": False}).port == 1883


def test_config_check_reads_the_files(tmp_path: Path, authority: Authority) -> None:
    none, empty, own = tmp_path / "none.pem", tmp_path / "empty.pem", authority.issue("client")
    empty.write_text("nothing\n")
    own.chmod(0o644)
    base: dict[str, Any] = {"kind": "mqtt", "host": "h", "client_id": "c", "topics": {"a": "a"}, "tls": True}
    site = HkSite(
        tmp_path / "site",
        {
            "a": {**base, "ca_file": str(none)},
            "b": {**base, "ca_file": str(empty)},
            "c": {**base, "cert_file": str(own), "key_file": str(own)},
            "d": {**base, "cert_file": str(empty), "key_file": str(none)},
        },
    )
    said = "\n".join(mistakes_of(site.root / "summit.yaml"))
    assert f"housekeep.sources.a.ca_file: {none}: No such file or directory" in said
    assert f"housekeep.sources.b.ca_file: {empty}: expected a certificate (PEM)" in said
    assert f"housekeep.sources.c.key_file: other users can read {own}: chmod 600" in said
    assert f"housekeep.sources.d.key_file: {none}: no such file" in said
    assert len(said.splitlines()) == 4
