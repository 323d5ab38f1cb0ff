"""Mail leaves through a real SMTP server, and every way in which it can fail has its name."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from services.alerts.channels.errors import ChannelRefused, ChannelUnreachable
from services.alerts.channels.registry import mistakes_in_channel, send
from services.alerts.message import AlertView, Message, compose
from services.core.alert_settings import Channel
from services.core.secret import Secret
from tests.fixtures.certificates import Authority, make_authority
from tests.fixtures.smtp import PASSWORD, SmtpServer

NOW = 1_795_232_434.0
ANNA = "anna@example.org"


@cache
def a_message(key: str = "raised:housekeeping:vison:CCD1_T:high:1:anna") -> Message:
    """A message with a plot, and words that need quoting everywhere."""
    trend = [[NOW - 3600 + 60 * minute, -101.0 + minute * 0.1] for minute in range(60)]
    details = {
        "value": -95.1,
        "limit": -100,
        "unit": "°C",
        "parameter": "CCD1_T <é>",
        "source": "vison",
        "trend": trend,
    }
    view = AlertView("housekeeping:vison:CCD1_T:high", 2, "Δ too <warm> & rising\r\nBcc: x@y.z", NOW - 600, 1, details)
    return compose("raised", "anna", [view], "lasilla", "https://grafana.example.org/d/alerts", NOW, key=key)


def mail_channel(tmp_path: Path, url: str) -> Channel:
    """A channel whose secret stands in a file."""
    file = tmp_path / "smtp.url"
    file.write_text(url + "\n")
    return Channel(kind="mail", url=Secret(file=file))


def test_a_mail_arrives_whole(smtp: SmtpServer, tmp_path: Path) -> None:
    send(mail_channel(tmp_path, smtp.url), "mail", ANNA, a_message())
    (mail,) = smtp.mails
    message = mail.message
    assert mail.to == (ANNA,) and message["To"].addresses[0].addr_spec == ANNA
    assert message["From"].addresses[0].addr_spec == "nightferry@example.org" and message["Bcc"] is None
    assert message["Subject"] == "[nightferry lasilla] severity 2 raised: CCD1_T <é> -95.1 °C (limit -100 °C)"
    assert message["X-Nightferry-Key"] == "raised:housekeeping:vison:CCD1_T:high:1:anna"
    assert message["Date"].datetime is not None and message["Message-ID"]
    parts = {part.get_content_type(): part for part in message.walk()}
    text, html = parts["text/plain"].get_content(), parts["text/html"].get_content()
    for words in (text, html):
        assert "-95.1 °C (limit -100 °C)" in words
        assert "nightferry alerts ack housekeeping:vison:CCD1_T:high" in words
    assert "https://grafana.example.org/d/alerts?var-site=lasilla&var-source=vison" in text
    assert "Δ too <warm> & rising Bcc: x@y.z" in text and "Δ too &lt;warm&gt; &amp; rising" in html
    picture = parts["image/png"]
    assert picture["Content-ID"] == "<trend.png>" and 'src="cid:trend.png"' in html
    assert Image.open(io.BytesIO(picture.get_content())).size == (896, 432)


@pytest.mark.parametrize(
    ("answer", "error"),
    [("451 4.3.0 try again later", ChannelUnreachable), ("554 5.7.1 looks like spam", ChannelRefused)],
)
def test_the_answer_of_the_server_decides(
    smtp: SmtpServer, tmp_path: Path, answer: str, error: type[Exception]
) -> None:
    channel = mail_channel(tmp_path, smtp.url)
    smtp.answers.append(answer)
    with pytest.raises(error, match=answer[10:]) as caught:
        send(channel, "mail", ANNA, a_message())
    assert ANNA not in str(caught.value)
    send(channel, "mail", ANNA, a_message())  # and then it takes it
    assert len(smtp.mails) == 1


def test_an_unknown_receiver_is_refused_and_not_named(smtp: SmtpServer, tmp_path: Path) -> None:
    smtp.refused.add(ANNA)
    with pytest.raises(ChannelRefused, match="no such user here") as caught:
        send(mail_channel(tmp_path, smtp.url), "mail", ANNA, a_message())
    assert ANNA not in str(caught.value) and "<address>" in str(caught.value)


def test_a_wrong_password_is_refused_and_not_told(
    smtp: SmtpServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = smtp.url.replace("s3cret", "hunter2")
    with pytest.raises(ChannelRefused, match="535") as caught:
        send(mail_channel(tmp_path, wrong), "mail", ANNA, a_message())
    said = f"{caught.value!r} {caught.value.__cause__!r} {capfd.readouterr()} {caplog.text}"
    assert "hunter2" not in said and PASSWORD not in said and ANNA not in said


@pytest.fixture(params=["starttls", "ssl"])
def both(smtp: SmtpServer, request: pytest.FixtureRequest) -> SmtpServer:
    """A server that speaks TLS when it is asked to, and one that does from the first byte."""
    smtp.mode = request.param
    restart(smtp, None)
    return smtp


def restart(smtp: SmtpServer, certificate: Path | None) -> None:
    """With another certificate."""
    smtp.stop()
    smtp.certificate = certificate
    smtp.start()


def test_a_mail_leaves_by_every_kind_of_tls(both: SmtpServer, tmp_path: Path) -> None:
    send(mail_channel(tmp_path, both.url), "mail", ANNA, a_message())
    assert [mail.to for mail in both.mails] == [(ANNA,)]


def test_an_authority_beside_those_of_the_system(
    both: SmtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `update-ca-certificates` makes it: one file of all of them."""
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes((system.read_bytes() if system.exists() else b"") + both.authority.ca_file.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    send(mail_channel(tmp_path, both.url), "mail", ANNA, a_message())
    assert len(both.mails) == 1


def test_a_server_whose_certificate_does_not_fit_is_no_answer(
    both: SmtpServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = mail_channel(tmp_path, both.url)
    (tmp_path / "other").mkdir()
    for file in (None, make_authority(tmp_path / "other").ca_file):
        with monkeypatch.context() as patch:
            patch.delenv("SSL_CERT_FILE") if file is None else patch.setenv("SSL_CERT_FILE", str(file))
            with pytest.raises(ChannelUnreachable, match=r"CERTIFICATE_VERIFY_FAILED.*unable to get local issuer"):
                send(channel, "mail", ANNA, a_message())
    restart(both, authority.issue("mail.example.org"))
    with pytest.raises(ChannelUnreachable, match=r"not valid for '127\.0\.0\.1'"):
        send(channel, "mail", ANNA, a_message())
    restart(both, authority.issue("127.0.0.1", expired=True))
    with pytest.raises(ChannelUnreachable, match="certificate has expired"):
        send(channel, "mail", ANNA, a_message())
    assert not both.mails


def test_a_server_that_is_away_is_unreachable_and_takes_it_afterwards(smtp: SmtpServer, tmp_path: Path) -> None:
    channel = mail_channel(tmp_path, smtp.url)
    smtp.stop()
    with pytest.raises(ChannelUnreachable, match="refused"):
        send(channel, "mail", ANNA, a_message())
    smtp.start()
    send(channel, "mail", ANNA, a_message())
    assert len(smtp.mails) == 1


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_never_answers_holds_us_for_the_time_limit_only(mute_port: int, tmp_path: Path) -> None:
    url = f"mailtos://alerts:secret-word@127.0.0.1:{mute_port}/?from=a@example.org&to={{to}}&mode=starttls"
    with pytest.raises(ChannelUnreachable, match="timed out"):
        send(mail_channel(tmp_path, url), "mail", ANNA, a_message(), timeout_s=0.3)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mailtos://u:p4ssw0rd@example.org/?from=a@example.org", "has no {to}"),
        ("nosuchservice://p4ssw0rd/{to}", "does not understand"),
        ("mailtos://u:p4ssw0rd@example.org/?from=a@example.org&to={to}&mode=tls13", "does not understand"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path, url: str, words: str) -> None:
    channel = mail_channel(tmp_path, url)
    with pytest.raises(ChannelRefused, match=words) as caught:
        send(channel, "mail", ANNA, a_message())
    (mistake,) = mistakes_in_channel(channel)
    assert words in mistake and "p4ssw0rd" not in mistake + str(caught.value)


def test_one_address_is_one_receiver(smtp: SmtpServer, tmp_path: Path) -> None:
    two = (
        f"{ANNA},eve@example.org",
        "anna@example.org&bcc=eve@example.org>",
        "anna",
        "a\n@b.org",
        "o'neil@example.org",
    )
    for address in two:
        with pytest.raises(ChannelRefused, match="address"):
            send(mail_channel(tmp_path, smtp.url), "mail", address, a_message())
    send(mail_channel(tmp_path, smtp.url), "mail", "o-neil+night&day=1@example.org", a_message())
    assert [mail.to for mail in smtp.mails] == [("o-neil+night&day=1@example.org",)]


def test_threads_that_send_at_once_get_their_own_reasons(smtp: SmtpServer, tmp_path: Path) -> None:
    channel = mail_channel(tmp_path, smtp.url)
    people = [f"person{index}@example.org" for index in range(8)]
    smtp.refused.update(people[::2])

    def answer(person: str) -> str:
        try:
            send(channel, "mail", person, replace(a_message(), key=person))
        except ChannelRefused as error:
            return str(error)
        return "sent"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answer, people))
    assert answers[1::2] == ["sent"] * 4
    assert all(answer.count("550") == 1 and "person" not in answer for answer in answers[::2])
    assert sorted(mail.to[0] for mail in smtp.mails) == people[1::2]
