"""The dead man's switch with daemons that run and are killed: each site tells what the other cannot."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from services.core.ledger.alert_schema import heartbeats
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import now as clock
from services.core.ledger.heartbeats import hear_receiver, heartbeat_rows, listen
from tests.fixtures.sshd import PrivateSshd
from tests.two_sites import EVERY, TwoSites, channels

FULL = "disk:tolar:archive:full"


def both_hear_each_other(two: TwoSites, *, comes_back: bool) -> None:
    """Both daemons run: each site hears the other; when they are killed, both say that the other is silent."""
    site = two.site
    site.start("receive")
    site.start("ship")

    def numbers() -> int:
        row = two.rows("centre").get("site:summit")
        return 0 if row is None else len(row.document["lags"])

    site.wait(lambda: numbers() >= 2 and "receiver:centre" in two.rows("summit"), "the heartbeats", 60.0)
    said = two.rows("centre")["site:summit"].document
    assert ("ship", "running") in [(each["name"], each["state"]) for each in said["daemons"]]
    assert said["host"] == socket.gethostname() and said["tells"] is False
    assert two.sweep("centre", clock()) == {} and two.sweep("summit", clock()) == {}
    # when the shipper is killed, the centre says that the telescope is silent, as soon as its time is over; the
    # receiver is stopped meanwhile, since it would write into the record that it listens today, not at that time
    site.stop("ship", 9)
    site.stop("receive", 9)
    heard = two.rows("centre")["site:summit"].at
    later = heard + 601.0
    with site.ledger("centre").begin() as conn:
        listen(conn, f"listener:{socket.gethostname()}", heard)
        conn.execute(heartbeats.update().where(heartbeats.c.who.like("listener:%")).values(at=later))
    silent = two.sweep("centre", later)["heartbeat:summit:silent"]
    assert "summit has been silent for 10 min" in silent and "ship running" in silent
    # and when it is back, that is over
    if comes_back:
        site.start("receive")
        site.start("ship")
        site.wait(lambda: two.rows("centre")["site:summit"].at > heard + 0.1, "the next heartbeat", 60.0)
        assert two.sweep("centre", clock()) == {}
        site.stop("ship")
        site.stop("receive", 9)
    # the receiver is dead: its status changes no more, and the telescope says so
    quiet_from = clock()
    with site.ledger("summit").begin() as conn:
        hear_receiver(conn, "centre", None, quiet_from)
        row = heartbeat_rows(conn)["receiver:centre"]
        tried = {**row.document, "tried_at": quiet_from + 700.0}
        conn.execute(heartbeats.update().where(heartbeats.c.who == row.who).values(document=tried))
    assert (
        "receiver of route centre has been silent"
        in two.sweep("summit", quiet_from + 700.0)["heartbeat:route/centre:silent"]
    )


def test_two_sites_hear_each_other_and_each_tells_its_own_people_of_silence(two: TwoSites) -> None:
    both_hear_each_other(two, comes_back=False)


@pytest.mark.slow
def test_two_sites_hear_each_other_over_ssh(two: TwoSites, sshd: PrivateSshd, tmp_path: Path) -> None:
    settings = two.site.settings("summit")
    settings["routes"]["centre"].update(sshd.route(two.site.centre))
    two.site.write("summit", settings)
    both_hear_each_other(two, comes_back=True)


def only_the_centres_notify_dies(two: TwoSites) -> None:
    """Its receiver lives: the telescope hears of it, tells what the centre cannot, and stops when it is back."""
    site = two.site
    settings = site.settings("centre")
    settings["conditions"]["heartbeat"] = {**EVERY, "away_s": 0.2}
    settings["alerts"] = channels(two)
    site.write("centre", settings)
    for verb in ("notify", "receive", "ship"):
        site.start(verb)

    def said() -> dict[str, Any]:
        row = two.rows("summit").get("centre:centre")
        return {} if row is None else dict(row.document)

    site.wait(lambda: said().get("tells") is True, "word of the centre that all is well", 60.0)
    assert two.sweep("summit", clock()) == {}
    # when only notify dies, and something grave happens
    site.stop("notify", 9)
    with site.ledger("centre").begin() as conn:
        raise_alert(conn, FULL, "no room left", clock(), severity=2)
    site.wait(lambda: said()["tells"] is False and said()["alerts"] != [], "word of it", 60.0)
    found = two.sweep("summit", clock())
    assert set(found) == {f"heartbeat:route/centre:relay:{FULL}", "heartbeat:route/centre:daemons"}
    words = "centre (route centre) cannot reach its people, and says: no room left"
    assert found[f"heartbeat:route/centre:relay:{FULL}"] == words
    assert "notify dead" in found["heartbeat:route/centre:daemons"]
    # when it is back, the centre tells its people itself
    site.start("notify")
    site.wait(lambda: said()["tells"] is True, "word that it is back", 60.0)
    assert two.sweep("summit", clock()) == {}


def test_only_the_centres_notify_dies(two: TwoSites) -> None:
    only_the_centres_notify_dies(two)


@pytest.mark.slow
def test_only_the_centres_notify_dies_over_ssh(two: TwoSites, sshd: PrivateSshd) -> None:
    settings = two.site.settings("summit")
    settings["routes"]["centre"].update(sshd.route(two.site.centre))
    two.site.write("summit", settings)
    only_the_centres_notify_dies(two)
