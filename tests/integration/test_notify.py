"""The notify daemon as a process: who got how many messages, by a real SMTP server and the real plug-in for SMS."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.desk import Desk, subjects
from tests.fixtures.smtp import SmtpServer
from tests.fixtures.twilio import Cloud

MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk_of(tmp_path: Path, smtp: SmtpServer, cloud: Cloud) -> Iterator[MakeDesk]:
    made: list[Desk] = []

    def make(**options: Any) -> Desk:
        made.append(Desk(tmp_path, smtp.url, cloud.twilio_url, **options))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


def test_a_storm_of_500_is_one_mail_and_one_sms_per_person_and_step(
    desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud
) -> None:
    desk = desk_of(escalate_after_s=3.0, repeat_s={1: 1000, 2: 1000})
    names = [f"housekeeping:roe:T{number}:high" for number in range(500)]
    desk.start()
    desk.raised(*names, severity=2)
    desk.wait(lambda: len(smtp.mails) == 2 and len(cloud.texts) == 2, "first message and its escalation")
    desk.resolved(*names)
    desk.wait(lambda: len(smtp.mails) == 4 and len(cloud.texts) == 4, "resolved")
    time.sleep(1.0)

    assert (len(smtp.mails), len(cloud.texts)) == (4, 4)
    for person in ("anna@example.org", "ben@example.org"):
        assert len(subjects(smtp.mails, person)) == 2
    assert "499 more" in subjects(smtp.mails, "anna@example.org")[0]
    assert "resolved" in subjects(smtp.mails, "ben@example.org")[1]
    assert {text.to for text in cloud.texts} == {"+56911111111", "+56922222222"}


@pytest.mark.parametrize("which", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_killed_in_mid_alert_nobody_is_told_twice_and_the_rest_goes_on(
    desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud, which: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if which == "postgresql" else None
    desk = desk_of(ledger_url=url, escalate_after_s=4.0, repeat_s={1: 1000, 2: 1000})
    desk.start()
    desk.raised("sequence:simcam:silent", severity=2)
    desk.raised("disk:archive", severity=1)
    desk.wait(lambda: len(smtp.mails) == 2 and len(cloud.texts) == 1 and desk.settled(), "first messages")

    desk.kill()
    desk.start()
    desk.wait(lambda: len(smtp.mails) == 3 and len(cloud.texts) == 2, "escalation after the restart")
    assert desk.run("ack", "all", "--by", "ben", "--reason", "on it").returncode == 0
    desk.resolved("sequence:simcam:silent", "disk:archive")
    desk.wait(lambda: len(smtp.mails) == 5 and len(cloud.texts) == 4 and desk.settled(), "resolved")
    time.sleep(0.6)

    whats = sorted(desk.queue())
    assert whats == sorted(
        [("raised", "anna", "mail", "sent")] * 2
        + [("raised", "anna", "sms", "sent")]
        + [("escalated", "ben", kind, "sent") for kind in ("mail", "sms")]
        + [("resolved", person, kind, "sent") for person in ("anna", "ben") for kind in ("mail", "sms")]
    )
    assert (len(smtp.mails), len(cloud.texts)) == (5, 4)


@pytest.mark.slow
def test_killed_between_sending_and_writing_it_down_a_message_goes_out_at_most_once_more(
    desk_of: MakeDesk, smtp: SmtpServer
) -> None:
    desk = desk_of()
    desk.raised("disk:archive", severity=1)
    desk.start()
    desk.wait(lambda: desk.settled() and len(smtp.mails) == 1, "the mail")
    desk.kill()
    # What the ledger holds when the power fails between the server's 250 and our commit.
    from sqlalchemy import update

    from services.core.ledger.alert_schema import notifications

    with desk.ledger.begin() as conn:
        conn.execute(update(notifications).values(state="sending", lease_until=time.time() + 1.0))
    desk.start()
    desk.wait(desk.settled, "the end")

    first, second = (mail.message for mail in smtp.mails)
    assert first["X-Nightferry-Key"] == second["X-Nightferry-Key"], "who reads them can tell that they are one"


@pytest.mark.slow
def test_a_flapping_condition_is_five_messages_and_then_silence(desk_of: MakeDesk, smtp: SmtpServer) -> None:
    desk = desk_of(group_s=0.0, flap_count=3, flap_window_s=60.0)
    desk.start()
    for number in range(12):
        desk.raised("clock:offset", severity=1)
        desk.wait(lambda n=number: len(smtp.mails) >= min(5, 2 * n + 1), "raised")  # type: ignore[misc]
        time.sleep(0.15)
        desk.resolved("clock:offset")
        desk.wait(lambda n=number: len(smtp.mails) >= min(5, 2 * n + 2), "resolved")  # type: ignore[misc]
        time.sleep(0.15)
    heads = subjects(smtp.mails, "anna@example.org")
    assert len(heads) == 5
    assert ["resolved" in head for head in heads] == [False, True, False, True, False]
    assert "comes and goes" in smtp.mails[4].message.get_body(("plain",)).get_content()  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_stale_sensor_is_one_message_and_its_repeats_until_somebody_acknowledges(
    desk_of: MakeDesk, smtp: SmtpServer
) -> None:
    desk = desk_of(repeat_s={1: 2.0, 2: 1000})
    desk.start()
    began = time.monotonic()
    while len(smtp.mails) < 3:  # whoever noticed it says so again and again: the message is brought up to date
        desk.raised("housekeeping:roe:T1:stale", severity=1)
        time.sleep(0.05)
        assert time.monotonic() - began < 30
    elapsed = time.monotonic() - began
    assert elapsed >= 2 * 2.0
    assert desk.run("ack", "housekeeping:*").returncode == 0
    desk.wait(desk.settled, "what was on its way")
    told = len(smtp.mails)
    time.sleep(3.0)
    assert len(smtp.mails) == told
    heads = subjects(smtp.mails, "anna@example.org")
    assert ["still open" in head for head in heads[:3]] == [False, True, True]


@pytest.mark.slow
def test_without_network_messages_wait_and_are_one_summary_afterwards(
    desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud
) -> None:
    desk = desk_of(repeat_s={1: 1000, 2: 1000}, escalate_after_s=1000)
    smtp.stop()
    cloud.answers += [(503, "down")] * 200
    desk.start()
    for number in range(6):
        desk.raised(f"disk:place{number}", severity=2)
        time.sleep(0.3)
    desk.wait(lambda: any(what == "summary" for what, *_ in desk.queue()), "a summary that waits")
    desk.resolved("disk:place0", "disk:place1")
    time.sleep(1.0)
    waiting = [row for row in desk.queue() if row[3] in ("waiting", "sending")]
    assert len(waiting) <= 4, "bounded, whatever happens meanwhile"
    smtp.start()
    cloud.answers.clear()
    desk.wait(lambda: desk.settled() and bool(smtp.mails) and bool(cloud.texts), "everything sent")
    time.sleep(1.5)
    desk.wait(desk.settled, "the rest")

    heads = subjects(smtp.mails, "anna@example.org")
    assert "summary" in heads[0]
    assert len(heads) <= 3 and len(cloud.texts) <= 3, (heads, cloud.texts)
    body = smtp.mails[0].message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    for number in range(6):
        assert [line.strip() for line in body.splitlines()].count(f"disk:place{number} is out of limits") == 1


@pytest.mark.slow
def test_a_server_that_hangs_holds_up_nobody(desk_of: MakeDesk, cloud: Cloud, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections and says nothing
        desk = desk_of(send_timeout_s=1.0)
        port = deaf.getsockname()[1]
        (tmp_path / "smtp.url").write_text(f"mailto://u:p@127.0.0.1:{port}/?from=n@example.org&to={{to}}&mode=insecure")
        desk.start()
        desk.raised("disk:archive", severity=2)
        desk.wait(lambda: len(cloud.texts) == 1, "the SMS")
        # That no mail can be sent is told by SMS.
        desk.wait(lambda: any("no mail can be sent" in text.body for text in cloud.texts), "the other kind")


@pytest.mark.slow
def test_the_next_channel_of_the_kind_is_asked(desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud) -> None:
    desk = desk_of()
    (desk.root / "second.url").write_text(cloud.twilio_url)
    (desk.root / "twilio.url").write_text("twilio://ACdeaddeaddeaddeaddeaddeaddeaddead:no@+15005550006/{to}")
    desk.alerts["channels"]["second"] = {"kind": "sms", "url": {"file": f"{desk.root}/second.url"}}
    desk.write()
    desk.start()
    desk.raised("disk:archive", severity=2)
    desk.wait(lambda: len(cloud.texts) == 1 and desk.settled(), "the SMS")
    told = json.loads(desk.run("show", "disk:archive", "--json").stdout)["history"]
    assert any("sms to anna: sent through second: twilio:" in step["text"] for step in told)


@pytest.mark.slow
def test_a_mute_is_silence_until_its_end(desk_of: MakeDesk, smtp: SmtpServer) -> None:
    desk = desk_of()
    desk.start()
    assert desk.run("mute", "disk:*", "--for", "1h", "--reason", "being changed").returncode == 0
    desk.raised("disk:archive", severity=1)
    desk.raised("clock:offset", severity=1)
    desk.wait(lambda: len(smtp.mails) == 1, "the one that is not muted")
    listed = desk.run("list", "disk:*", "--json")
    assert json.loads(listed.stdout)["state"] == "muted"
    assert listed.returncode == 0, "nobody is waited for"
    time.sleep(1.0)
    assert len(smtp.mails) == 1
    assert desk.run("unmute", "disk:*").returncode == 0
    desk.wait(lambda: len(smtp.mails) == 2, "the message after the mute")


@pytest.mark.slow
def test_a_ledger_that_is_locked_is_told_without_it_once_and_its_return(
    desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud
) -> None:
    import sqlite3

    desk = desk_of(ledger_patience_s=1.0, repeat_s={2: 1000}, escalate_after_s=1000)
    desk.start()
    desk.raised("disk:archive", severity=1)
    desk.wait(lambda: len(smtp.mails) == 1 and desk.settled(), "an ordinary mail")
    holder = sqlite3.connect(desk.root / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    desk.wait(lambda: (len(smtp.mails), len(cloud.texts)) == (2, 1), "the last resort")
    assert "no answer from the ledger" in cloud.texts[0].body
    time.sleep(1.0)
    holder.execute("ROLLBACK")
    holder.close()
    desk.wait(lambda: (len(smtp.mails), len(cloud.texts)) == (3, 2), "its return")
    assert "resolved" in subjects(smtp.mails, "anna@example.org")[2]


@pytest.mark.slow
def test_a_ledger_that_is_gone_is_told_without_it_once_even_over_a_restart_and_its_return(
    desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud
) -> None:
    desk = desk_of(ledger_patience_s=1.0, repeat_s={2: 1000}, escalate_after_s=1000)
    desk.ledger.close()
    away, place = desk.root / "away", desk.root / "ledger.sqlite"
    for suffix in ("-wal", "-shm"):
        (desk.root / f"ledger.sqlite{suffix}").unlink(missing_ok=True)
    place.rename(away)
    place.mkdir()  # whatever is there is no ledger
    desk.start()
    deadline = time.monotonic() + 30
    while (len(smtp.mails), len(cloud.texts)) != (1, 1):
        assert time.monotonic() < deadline, (desk.root / "notify.log").read_text()[-3000:]
        time.sleep(0.05)
    time.sleep(0.5)
    desk.kill()
    desk.start()
    time.sleep(3.0)
    assert (len(smtp.mails), len(cloud.texts)) == (1, 1), "not told again by the restarted daemon"
    assert "ledger" in cloud.texts[0].body

    place.rmdir()
    away.rename(place)
    deadline = time.monotonic() + 30
    while (len(smtp.mails), len(cloud.texts)) != (2, 2):
        assert time.monotonic() < deadline, (desk.root / "notify.log").read_text()[-3000:]
        time.sleep(0.05)
    assert "resolved" in subjects(smtp.mails, "anna@example.org")[1]
    desk.wait(lambda: not (desk.state / "notify.json").exists(), "the state to be forgotten")


@pytest.mark.slow
def test_two_daemons_on_one_ledger_say_everything_once(
    desk_of: MakeDesk, smtp: SmtpServer, cloud: Cloud, tmp_path: Path
) -> None:
    desk = desk_of()
    desk.write(tmp_path / "second.yaml", tmp_path / "another host")
    desk.start()
    desk.start(tmp_path / "second.yaml")
    for number in range(4):
        desk.raised(f"disk:place{number}", severity=2)
        desk.wait(lambda n=number: desk.settled() and len(desk.queue()) >= 2 * n + 2, "messages")  # type: ignore[misc]
    time.sleep(0.5)
    sent = [row for row in desk.queue() if row[3] == "sent"]
    assert len(sent) == len(smtp.mails) + len(cloud.texts)
    bodies = [text.body for text in cloud.texts]
    assert len(bodies) == len(set(bodies))


@pytest.mark.slow
def test_the_daemon_stops_at_once_and_a_second_one_is_refused(desk_of: MakeDesk, smtp: SmtpServer) -> None:
    desk = desk_of()
    first = desk.start()
    desk.raised("disk:archive", severity=1)
    desk.wait(lambda: len(smtp.mails) == 1, "the mail")
    second = desk.start()
    assert second.wait(timeout=20) == 3
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=10) == 0
    assert "another `nightferry notify` works" in (desk.root / "notify.log").read_text()
