"""The dead man's switch between two sites: real shipper, real receiver, forged and stale heartbeats, silence."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.conditions.sweep import Sweeper
from services.conditions.vitals import next_number
from services.core.ledger.alert_schema import heartbeats
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import now as clock
from services.core.ledger.heartbeats import MOST_SITES, heartbeat_rows
from services.core.metrics.spool import Spool
from services.core.settings import load_settings
from services.shipper.herald import Herald
from tests.two_sites import EVERY, TwoSites, heartbeat
from transfer.heartbeat import AlertSaid, DaemonSaid, file_name, seal
from transfer.remotes.file import FileRemote
from transfer.signature import load_private, write_key_pair


def refusal(two: TwoSites) -> str:
    return next(str(row.document["reason"]) for who, row in two.rows("centre").items() if who.startswith("refused:"))


def test_what_cannot_be_believed_is_no_sign_of_life(two: TwoSites, tmp_path: Path) -> None:
    now, ear = clock(), two.receiver()
    two.post(heartbeat(now))
    assert len(ear.take_all(now)) == 1 and not list((two.site.centre / "inbox").iterdir())
    write_key_pair(tmp_path / "other", "other")
    good = seal(heartbeat(now + 1), two.key)
    forged = [
        (seal(heartbeat(now), two.key), "a replay"),
        (seal(heartbeat(now - 50), two.key), "a replay"),
        (seal(heartbeat(now + 1), None), "signed"),
        (seal(heartbeat(now + 1), load_private(tmp_path / "other")), "signed with the key"),
        (good.replace(b"tolar", b"tolaR"), "does not fit"),
        (seal(heartbeat(now + 200_000.0), two.key), "more than a day ahead"),
        (seal(heartbeat(now + 1, written=datetime.now(UTC) + timedelta(days=2)), two.key), "ahead of our clock"),
        (seal(heartbeat(now + 1, site="other"), two.key), "expected summit"),
        (b"", "not JSON"),
        (b"[" * 600_000, "at most"),
    ]
    for data, why in forged:
        two.post(data)
        assert ear.take_all(now + 2) == [] and why in refusal(two)
    # then none of them was a sign of life, and a person hears of it
    assert two.rows("centre")["site:summit"].at == now
    assert "at most" in two.sweep("centre", now + 3)["heartbeat:summit:refused"]
    # when a good one comes, that is over
    two.post(heartbeat(now + 5))
    assert len(ear.take_all(now + 5)) == 1 and two.sweep("centre", now + 6) == {}


def test_a_flood_of_other_files_makes_no_site_silent(two: TwoSites) -> None:
    now, ear = clock(), two.receiver()
    for number in range(110):
        two.post(b"nothing", name=file_name(f"a{number:03}"))
    two.post(heartbeat(now))
    assert [each.site for each in ear.take_all(now)] == ["summit"]
    assert len(list((two.site.centre / "inbox").iterdir())) == 10


def test_what_is_no_file_is_not_opened(two: TwoSites) -> None:
    inbox, ear = two.site.centre / "inbox", two.receiver()
    (two.site.centre / "quarantine").mkdir()
    secret = two.site.root / "secret"
    secret.write_text("secret")
    os.mkfifo(inbox / "summit.heartbeat")
    (inbox / "other.heartbeat").symlink_to(secret)
    (inbox / "third.heartbeat").mkdir()
    (inbox / "Bad Name.heartbeat").write_bytes(b"x")
    assert ear.take_all(clock()) == []
    assert [
        path.name for path in inbox.iterdir() if path.suffix == ".heartbeat"
    ] == [] and secret.read_text() == "secret"
    assert list(two.sweep("centre", clock())) == ["heartbeat:unknown:refused"]


def test_a_site_without_a_key_is_believed_and_there_is_an_end_to_sites(two: TwoSites) -> None:
    now, ear = clock(), two.receiver(other=Path("/nowhere"))
    for number in range(MOST_SITES + 2):
        site = f"site{number:02}"
        two.post(heartbeat(now, site=site), signed=False, name=file_name(site))
        ear.take_all(now)
    assert sum(who.startswith("site:") for who in two.rows("centre")) == MOST_SITES
    assert "sites are on record already" in refusal(two)


def test_nobody_listening_is_not_the_other_sites_silence(two: TwoSites) -> None:
    now = clock()
    two.post(heartbeat(now))
    two.receiver().take_all(now)
    # when the receiver was down for an hour
    found = two.sweep("centre", now + 3600.0)
    assert (
        list(found) == ["heartbeat:summit:unheard"] and "nobody listens for summit" in found["heartbeat:summit:unheard"]
    )
    # and has just come back: the telescope gets its time
    two.receiver().take_all(now + 3600.0)
    assert two.sweep("centre", now + 3601.0) == {}


def test_a_clock_that_is_set_makes_nobody_silent_and_hides_nobody(two: TwoSites, tmp_path: Path) -> None:
    now = clock()
    for step_s in (3600.0, -3600.0):
        two.post(heartbeat(now))
        two.receiver().take_all(now)
        clocks = [(now, 100.0), (now + 30.0 + step_s, 130.0)]
        clocks += [(now + 430.0 + step_s, 530.0), (now + 930.0 + step_s, 1030.0)]
        settings = load_settings(two.site.root / "centre.yaml")
        spool = Spool(tmp_path / f"{step_s}.sqlite", "centre")
        sweeper = Sweeper(settings, two.site.ledger("centre"), spool, clocks=iter(clocks).__next__)
        for wall, _ in clocks[:3]:
            sweeper.sweep(wall)
            assert [name for name in two.site.open_alerts("centre") if name.startswith("heartbeat:")] == []
        # who is still not heard ten minutes later is silent; nobody listened either
        sweeper.sweep(clocks[3][0])
        assert "heartbeat:summit:unheard" in two.site.open_alerts("centre")
        spool.close()
        now += 20_000.0


def test_a_site_that_is_expected_is_missed_before_it_was_ever_heard_and_one_can_be_forgotten(two: TwoSites) -> None:
    now = clock()
    settings = two.site.settings("centre")
    settings["conditions"]["heartbeat"] = {**EVERY, "expect": ["third"]}
    two.site.write("centre", settings)
    two.post(heartbeat(now - 1000.0))
    two.receiver().take_all(now - 1000.0)
    with two.site.ledger("centre").begin() as conn:
        conn.execute(heartbeats.update().where(heartbeats.c.who.like("listener:%")).values(at=now))
    found = two.sweep("centre", now)
    assert set(found) == {"heartbeat:third:silent", "heartbeat:summit:silent"}
    assert "never been heard" in found["heartbeat:third:silent"]
    done = two.site.run("status", "--forget", "site:summit", host="centre")
    assert done.returncode == 0
    assert set(two.sweep("centre", now)) == {"heartbeat:third:silent"}


def test_what_a_telescope_cannot_tell_is_told_here(two: TwoSites) -> None:
    now, ear = clock(), two.receiver()
    full = AlertSaid("disk:tolar:state:full", "no room left", datetime.fromtimestamp(now, UTC))
    dead = DaemonSaid("notify", "dead", "")
    two.post(heartbeat(now, alerts=(full,), daemons=(dead,), tells=False))
    ear.take_all(now)
    found = two.sweep("centre", now)
    assert "no room left" in found["heartbeat:summit:relay:disk:tolar:state:full"]
    assert "notify dead" in found["heartbeat:summit:daemons"]
    # when it tells its people itself again
    two.post(heartbeat(now + 60, alerts=(full,), tells=True))
    ear.take_all(now + 60)
    assert two.sweep("centre", now + 60) == {}


def test_clocks_that_disagree(two: TwoSites) -> None:
    now, ear = clock(), two.receiver()
    two.post(heartbeat(now + 3000.0))
    ear.take_all(now)
    assert "summit is 3000 s ahead of ours" in two.sweep("centre", now)["heartbeat:summit:clock"]
    # one that came late says nothing: the quickest counts
    for number, late in enumerate((100.0, 5.0, 90.0), 1):
        two.post(heartbeat(now + 3000.0 + number, written=datetime.fromtimestamp(now - late, UTC)))
        ear.take_all(now)
    with two.site.ledger("centre").begin() as conn:
        row = heartbeat_rows(conn)["site:summit"]
        document = {**row.document, "lags": row.document["lags"][1:]}
        conn.execute(heartbeats.update().where(heartbeats.c.who == row.who).values(document=document))
    assert two.sweep("centre", now) == {}


def test_numbers_grow_whatever_the_clock_does(tmp_path: Path) -> None:
    path = tmp_path / "number"
    first = next_number(path, 1000.0)
    assert first == 1_000_000 and next_number(path, 900.0) == first + 1  # a clock set back
    path.write_text("damaged")
    assert next_number(path, 1001.0) == 1_001_000
    ahead = next_number(path, 90_000_000.0)  # a clock that was years ahead
    assert ahead > next_number(path, 1002.0) == 1_002_000


def test_a_heartbeat_that_is_not_taken_stops_no_receipt(two: TwoSites) -> None:
    # given an inbox that cannot be written
    settings = load_settings(two.site.root / "summit.yaml")
    herald = Herald("centre", settings, two.site.ledger("summit"))
    (two.site.centre / "inbox").rmdir()
    (two.site.centre / "inbox").write_text("in the way")
    assert herald.due()
    herald.call(FileRemote(two.site.centre))
    assert not herald.due()


def test_open_alerts_of_severity_2_travel(two: TwoSites) -> None:
    settings, ledger = load_settings(two.site.root / "summit.yaml"), two.site.ledger("summit")
    with ledger.begin() as conn:
        raise_alert(conn, "route:centre:refused", "login refused", 1000.0, severity=2)
        raise_alert(conn, "route:centre:full", "full", 1000.0, severity=1)
    Herald("centre", settings, ledger).call(FileRemote(two.site.centre))
    (believed,) = two.receiver().take_all(clock())
    assert [each.alert for each in believed.alerts] == ["route:centre:refused"]
