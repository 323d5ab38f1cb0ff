"""SMS through apprise's own Twilio and SNS plug-ins, and through smsd with a modem."""

from __future__ import annotations

import io
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.alerts.channels.errors import ChannelRefused, ChannelUnreachable
from services.alerts.channels.registry import mistakes_in_channel, send
from services.alerts.message import Message
from services.core.alert_settings import Channel
from services.core.secret import Secret
from tests.fixtures.smstools import SmsTools
from tests.fixtures.twilio import SNS_SECRET, TOKEN, Cloud, Text

PHONE = "+56912345678"
TEXT = "lasilla S2 ALERT: CCD1_T -95.1 C limit -100 C, 03:28 UTC @ £ é Ñ ß [a_b] ~ {€}"


def sms_channel(tmp_path: Path, url: str) -> Channel:
    """A channel whose secret stands in a file."""
    file = tmp_path / "sms.url"
    file.write_text(url)
    return Channel(kind="sms", url=Secret(file=file))


def an_sms(key: str = "", text: str = TEXT) -> Message:
    """A message of which only the short form matters."""
    return Message("subject", "long text", "<p>long text</p>", text, b"png", key)


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """What a daemon's log would hold of the libraries' words."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def test_twilio_and_sns_are_asked_to_send_the_short_text(cloud: Cloud, tmp_path: Path) -> None:
    for url in (cloud.twilio_url, cloud.sns_url):
        send(sms_channel(tmp_path, url), "sms", PHONE, an_sms())
    assert cloud.texts == [Text(PHONE, TEXT), Text(PHONE, TEXT)]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((429, {"code": 20429, "message": "Too Many Requests"}), ChannelUnreachable),
        ((503, "busy"), ChannelUnreachable),
        ((400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient"}), ChannelRefused),
        ((402, "pay first"), ChannelRefused),
    ],
)
def test_twilio_s_answer_decides(
    cloud: Cloud, tmp_path: Path, answer: tuple[int, object], error: type[Exception]
) -> None:
    cloud.answers.append(answer)
    channel = sms_channel(tmp_path, cloud.twilio_url)
    with pytest.raises(error):
        send(channel, "sms", PHONE, an_sms())
    send(channel, "sms", PHONE, an_sms())
    assert len(cloud.texts) == 1


def test_a_wrong_token_and_a_bad_number_are_refused_without_telling_them(
    cloud: Cloud, tmp_path: Path, root_log: io.StringIO
) -> None:
    wrong = TOKEN.replace("dead", "b0b0")
    with pytest.raises(ChannelRefused, match="Authenticate") as first:
        send(sms_channel(tmp_path, cloud.twilio_url.replace(TOKEN, wrong)), "sms", PHONE, an_sms())
    with pytest.raises(ChannelRefused, match="Invalid 'To'") as second:
        send(sms_channel(tmp_path, cloud.twilio_url), "sms", "+15005550001", an_sms())
    with pytest.raises(ChannelRefused) as third:
        send(sms_channel(tmp_path, cloud.sns_url.replace("AKIA", "AKIB")), "sms", PHONE, an_sms())
    with pytest.raises(ChannelRefused, match="error=403"):  # signed with another secret
        send(sms_channel(tmp_path, cloud.sns_url.replace("verySecret", "noSuchWord")), "sms", PHONE, an_sms())
    said = f"{first.value} {second.value} {third.value} {root_log.getvalue()}"
    assert not any(
        secret in said for secret in (wrong, TOKEN, PHONE, PHONE[1:], "15005550001", SNS_SECRET, "AKIBHIDDEN")
    )


def test_twilio_behind_a_dead_line_is_unreachable(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ChannelUnreachable, match="onnection error"):
        send(sms_channel(tmp_path, cloud.twilio_url), "sms", PHONE, an_sms(), timeout_s=3)


SENDER = """
import sys
from pathlib import Path
from services.alerts.channels.smstools import send_by_smstools
from services.alerts.message import Message
send_by_smstools(Path(sys.argv[1]), sys.argv[2], Message("", "", "", sys.argv[3], None, "key 1"), 100)
"""


def test_the_modem_sends_once_what_a_killed_daemon_had_handed_over(smstools: SmsTools) -> None:
    smstools.stop()
    with subprocess.Popen([sys.executable, "-c", SENDER, str(smstools.spool), PHONE, TEXT]) as process:
        deadline = time.monotonic() + 30
        while not [path for path in (smstools.spool / "outgoing").iterdir() if path.suffix != ".LOCK"]:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.kill()
    smstools.start()
    channel = Channel(kind="sms", smstools=smstools.spool)
    assert not list(mistakes_in_channel(channel))
    for _ in range(2):
        send(channel, "sms", PHONE, an_sms("key 1"), timeout_s=30)
    assert [(sms.to, sms.text) for sms in smstools.modem.sent] == [(PHONE[1:], TEXT)]


@pytest.mark.slow
def test_a_modem_that_is_away_costs_no_second_sms(smstools: SmsTools) -> None:
    channel = Channel(kind="sms", smstools=smstools.spool)
    smstools.modem.pull_out()
    with pytest.raises(ChannelUnreachable, match=r"taken back|holds the message"):
        send(channel, "sms", PHONE, an_sms("key 1"), timeout_s=3)
    smstools.modem.plug_in()
    send(channel, "sms", PHONE, an_sms("key 1", "second"), timeout_s=30)
    assert [sms.text for sms in smstools.modem.sent] in (["second"], [TEXT])


OPEN_AS = """
import os, sys
directory, name, user = os.open(sys.argv[1], os.O_RDONLY), sys.argv[2], int(sys.argv[3])
os.setgroups([])
os.setgid(user)
os.setuid(user)
os.close(os.open(name, os.O_RDWR, dir_fd=directory))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_debian_s_smsd_which_is_in_none_of_the_spool_s_groups_may_take_a_message(tmp_path: Path) -> None:
    for name in ("outgoing", "checked", "sent", "failed"):
        (tmp_path / name).mkdir()
    shutil.chown(tmp_path / "outgoing", 4242)
    (tmp_path / "outgoing").chmod(0o3777)

    with subprocess.Popen([sys.executable, "-c", SENDER, str(tmp_path), PHONE, TEXT]) as process:
        deadline = time.monotonic() + 30
        while not (ready := [path for path in (tmp_path / "outgoing").iterdir() if path.suffix != ".LOCK"]):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        opened = [
            subprocess.run(
                [sys.executable, "-c", OPEN_AS, str(tmp_path / "outgoing"), ready[0].name, user],
                check=False, capture_output=True,
            ).returncode
            for user in ("4242", "4243")
        ]  # fmt: skip
        process.kill()

    assert opened == [0, 1]


def test_a_spool_from_which_nothing_can_be_taken_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("outgoing", "checked", "sent", "failed"):
        (tmp_path / name).mkdir()
    (tmp_path / "checked").chmod(0o3775)
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "checked").stat().st_uid + 1)

    (told,) = mistakes_in_channel(Channel(kind="sms", smstools=tmp_path))

    assert f"chmod -t {tmp_path / 'checked'}" in told


def test_without_smsd_the_message_is_taken_back(smstools: SmsTools) -> None:
    smstools.stop()
    channel = Channel(kind="sms", smstools=smstools.spool)
    with pytest.raises(ChannelUnreachable, match="taken back"):
        send(channel, "sms", PHONE, an_sms(), timeout_s=0.2)
    assert not [path for path in smstools.spool.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("number", "error"), [(28, ChannelRefused), pytest.param(38, ChannelUnreachable, marks=pytest.mark.slow)]
)
def test_the_network_s_answer_decides(smstools: SmsTools, number: int, error: type[Exception]) -> None:
    smstools.modem.error = number
    with pytest.raises(error, match=f"CMS ERROR: {number}"):
        send(Channel(kind="sms", smstools=smstools.spool), "sms", PHONE, an_sms(), timeout_s=30)
    assert not smstools.modem.sent


def test_a_message_waits_for_a_spool_that_is_not_there(tmp_path: Path) -> None:
    channel = Channel(kind="sms", smstools=tmp_path / "spool")
    with pytest.raises(ChannelUnreachable, match="spool/outgoing"):
        send(channel, "sms", PHONE, an_sms())
    assert len(list(mistakes_in_channel(channel))) == 4


@pytest.mark.slow
def test_smsd_and_we_never_both_have_a_message(smstools: SmsTools) -> None:
    """Taken back at every moment of its way: what was reported as taken back was not sent."""
    channel = Channel(kind="sms", smstools=smstools.spool)
    taken_back, sent = [], []

    def one(index: int) -> None:
        text = f"message {index}"
        try:
            send(channel, "sms", PHONE, an_sms("", text), timeout_s=0.13 * index)
            sent.append(text)
        except ChannelUnreachable as error:
            if "taken back" in str(error):
                taken_back.append(text)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    smstools.stop()
    out = [sms.text for sms in smstools.modem.sent]
    assert taken_back and sent
    assert not set(out) & set(taken_back) and set(sent) <= set(out) and len(out) == len(set(out))
