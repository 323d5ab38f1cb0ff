"""The dead man's switch the other way: what the data centre cannot tell its own people, the telescope tells."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.cli.status import status
from services.conditions.vitals import Vitals
from services.core.ledger.alert_schema import heartbeats
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import now as clock
from services.core.ledger.heartbeats import hear_receiver
from services.core.process import boot_id
from services.core.pulse import PulseFile
from services.core.settings import load_settings
from services.receiver.voice import Voice
from services.shipper.herald import Herald
from tests.two_sites import TwoSites, channels, heartbeat
from transfer.heartbeat import MAX_BYTES, RECEIVER_NAME, AlertSaid, DaemonSaid, Heartbeat
from transfer.remotes.file import FileRemote

FULL = "disk:tolar:archive:full"


class Look:
    """One route's looks at the receiver, by hand."""

    def __init__(self, two: TwoSites) -> None:
        self.two = two
        self.herald = Herald("centre", load_settings(two.site.root / "summit.yaml"), two.site.ledger("summit"))
        self.file = two.site.centre / RECEIVER_NAME
        self.file.parent.mkdir(exist_ok=True)

    def at(self, said: Heartbeat | bytes | None) -> dict[str, str]:
        """The receiver says something (None: what it says is gone); what the telescope tells then."""
        if said is None:
            self.file.unlink(missing_ok=True)
        else:
            self.file.write_bytes(said if isinstance(said, bytes) else said.to_json())
        with self.two.site.ledger("summit").begin() as conn:
            hear_receiver(conn, "centre", clock(), clock())
        self.herald.listen(FileRemote(self.two.site.centre))
        return self.two.sweep("summit", clock())


def word(at: float, **more: Any) -> Heartbeat:
    """What a centre says that can tell nobody."""
    full = AlertSaid(FULL, "no room left", datetime.fromtimestamp(at, UTC))
    plain = heartbeat(at, site="tolar", every_s=30.0, alerts=(full,), daemons=(DaemonSaid("notify", "dead", ""),))
    return replace(plain, **{"tells": False, **more})


def test_what_the_centre_cannot_tell_is_told_until_it_can(two: TwoSites) -> None:
    now, look = clock(), Look(two)
    assert set(look.at(word(now))) == {f"heartbeat:route/centre:relay:{FULL}", "heartbeat:route/centre:daemons"}
    assert look.at(word(now + 1, tells=True)) == {}


def test_an_older_receiver_says_nothing_and_nobody_is_told(two: TwoSites) -> None:
    look = Look(two)
    assert look.at(None) == {} and "centre:centre" not in two.rows("summit")
    # one that says something and is replaced by an older one is not remembered
    assert look.at(word(clock())) != {}
    assert look.at(None) == {} and "centre:centre" not in two.rows("summit")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"[" * (MAX_BYTES + 1), "larger than"),
        (word(1e9).to_json().replace(b'"tells"', b'"sells"'), "tells: missing"),
        (word(1e9).to_json().replace(b'"every_s": 30.0', b'"every_s": -1'), "not negative"),
        (word(1e9, written=datetime.now(UTC) + timedelta(days=2)).to_json(), "ahead of our clock"),
        (word(1e9, written=datetime.now(UTC)).to_json().replace(b'"site": "tolar"', b'"site": "../x"'), "site"),
    ],
)
def test_what_cannot_be_believed_is_refused_and_what_was_told_stays(two: TwoSites, data: bytes, why: str) -> None:
    now, look = clock(), Look(two)
    before = look.at(word(now))
    # when something else lies there
    found = look.at(data)
    assert why in found.pop("heartbeat:route/centre:refused")
    assert found == before
    # when a good one comes, that is over
    assert look.at(word(now + 1, tells=True)) == {}


def test_what_is_no_file_stops_no_receipt(two: TwoSites) -> None:
    look = Look(two)
    look.file.mkdir()
    look.herald.listen(FileRemote(two.site.centre))
    assert [who for who in two.rows("summit") if who.startswith("refused:")] == ["refused:route/centre"]


def test_a_receiver_that_lives_and_says_nothing_more_is_told_and_what_it_said_is_not_over(two: TwoSites) -> None:
    now, look = clock(), Look(two)
    before = set(look.at(word(now)))
    with two.site.ledger("summit").begin() as conn:
        old = heartbeats.update().where(heartbeats.c.who.in_(["centre:centre", "receiver:centre"]))
        conn.execute(old.values(at=now - 700.0))
        document = {"since": now - 9000.0, "tried_at": now, "written": 1.0}
        conn.execute(heartbeats.update().where(heartbeats.c.who == "receiver:centre").values(document=document))
    silent = set(two.sweep("summit", now))
    assert "heartbeat:route/centre:silent" in silent and "heartbeat:route/centre:speechless" not in silent
    assert f"heartbeat:route/centre:relay:{FULL}" in silent & before
    with two.site.ledger("summit").begin() as conn:
        hear_receiver(conn, "centre", 2.0, now)
    found = two.sweep("summit", now)
    assert (
        "has said nothing of tolar for 12 min; its daemons then: notify dead"
        in (found["heartbeat:route/centre:speechless"])
    )
    assert f"heartbeat:route/centre:relay:{FULL}" in found
    # when a person says that it is not to be missed
    assert two.night.run(status, "--forget", "receiver:centre") == 0
    assert two.sweep("summit", now) == {}


def test_what_was_passed_on_does_not_come_back_under_a_longer_name(two: TwoSites) -> None:
    """Neither site can tell anybody, and each has an alert: each passes on the other's, and nothing else, for ever."""
    look = Look(two)
    for host in ("summit", "centre"):
        with two.site.ledger(host).begin() as conn:
            raise_alert(conn, FULL, f"no room at {host}", clock(), severity=2)
    voice, ear = Voice(load_settings(two.site.root / "centre.yaml"), two.site.ledger("centre")), two.receiver()
    for _ in range(4):
        look.herald.call(FileRemote(two.site.centre))
        ear.take_all(clock())
        there = two.sweep("centre", clock())
        voice.speak()
        here = look.at(look.file.read_bytes())
        assert set(there) == {f"heartbeat:summit:relay:{FULL}"}
        assert set(here) == {f"heartbeat:route/centre:relay:{FULL}"}
    # when each is over where it was raised
    for host in ("summit", "centre"):
        with two.site.ledger(host).begin() as conn:
            resolve_alert(conn, FULL, clock())
    look.herald.call(FileRemote(two.site.centre))
    ear.take_all(clock())
    voice.speak()
    assert two.sweep("centre", clock()) == {} and look.at(look.file.read_bytes()) == {}


@pytest.mark.parametrize(("boot", "tells"), [(boot_id(), False), ("before", True)])
def test_a_receiver_that_is_started_again_does_not_take_a_dead_notify_for_one_that_comes(
    two: TwoSites, boot: str, tells: bool
) -> None:
    settings = two.site.settings("centre")
    settings["alerts"] = channels(two)
    two.site.write("centre", settings)
    mono, host = time.monotonic() - 300.0, socket.gethostname()
    dead = PulseFile("notify", "notify", host, 1 << 22, boot, 1, 1.0, clock(), mono, 5.0, True, "", (), "Killed: x")
    run = two.site.centre / "state" / "run"
    run.mkdir()
    (run / "notify.json").write_text(json.dumps(asdict(dead)))
    heartbeat = Vitals(load_settings(two.site.root / "centre.yaml"), two.site.ledger("centre"), "run/number")
    assert heartbeat.heartbeat(30.0).tells is tells


def test_heartbeats_that_are_switched_off_take_back_what_was_said(two: TwoSites) -> None:
    (two.site.centre / "receipts").mkdir()
    path = two.site.centre / RECEIVER_NAME
    Voice(load_settings(two.site.root / "centre.yaml"), two.site.ledger("centre")).speak()
    said = Heartbeat.from_json(path.read_bytes())
    # then it says when the next one comes, and a site that was never meant to tell anybody has no daemon that is down
    assert (said.site, said.every_s, said.tells, said.daemons) == ("centre", 0.2, False, ())
    settings = two.site.settings("centre")
    settings["conditions"]["heartbeat"] = None
    two.site.write("centre", settings)
    Voice(load_settings(two.site.root / "centre.yaml"), two.site.ledger("centre")).speak()
    assert not path.exists()


def test_a_disk_that_is_read_back_says_nothing(two: TwoSites) -> None:
    look = Look(two)
    assert look.at(word(clock())) != {}
    settings = two.site.settings("summit")
    settings["routes"]["centre"]["receipts"] = "readback"
    two.site.write("summit", settings)
    assert two.sweep("summit", clock()) == {}


def test_status_says_who_tells(two: TwoSites, capsys: pytest.CaptureFixture[str]) -> None:
    now, look = clock(), Look(two)
    for said, tells in ((word(now), False), (word(now + 1, tells=True), True), (None, None)):
        look.at(said)
        capsys.readouterr()
        two.night.run(status, "--json")
        (receiver,) = json.loads(capsys.readouterr().out)["heard"][-1:]
        assert (receiver["who"], receiver["tells"]) == ("receiver:centre", tells)
        two.night.run(status)
        assert ("it cannot reach its people" in capsys.readouterr().out) is (tells is False)
