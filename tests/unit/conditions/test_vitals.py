"""What a site says of itself, and what the other one makes of it: decisions without a ledger."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.conditions.daemons import DaemonWord
from services.conditions.heartbeat import Facts as Heard
from services.conditions.heartbeat import Word, decide
from services.conditions.relay import is_passed_on, relayed
from services.conditions.vitals import Facts, compose, other_hosts
from services.core.condition_settings import ConditionSettings, HeartbeatConditions
from services.core.settings import Settings
from transfer.heartbeat import Heartbeat

NOW = 1_780_000_000.0
RUNNING = DaemonWord("notify", "notify", "running", "")
DEAD = DaemonWord("notify", "notify", "dead", "")
CHANNELS = {
    "channels": {"smtp": {"kind": "mail", "url": {"file": "/etc/smtp.url"}}},
    "people": {"anna": {"mail": "anna@example.org"}},
    "oncall": {"default": ["anna"]},
}


def said_by(facts: Facts, root: Path, **sections: Any) -> Heartbeat:
    ledger = {"url": f"sqlite:///{root}/ledger.sqlite"}
    settings = Settings.model_validate({"site": "centre", "state_dir": str(root), "ledger": ledger, **sections})
    return compose(settings, facts, 1, 30.0, NOW)


@pytest.mark.parametrize(
    ("facts", "tells"),
    [
        (Facts([RUNNING], away_s=9e9), True),
        (Facts([RUNNING], stuck=1), False),
        (Facts([DEAD], away_s=119.0), True),
        (Facts([DEAD], away_s=121.0), False),
        (Facts([], away_s=9e9), False),
        (Facts([DEAD], away_s=9e9, hosts={"node2": 100.0}), True),  # any host of the ledger may tell
        (Facts([DEAD], away_s=9e9, hosts={"node2": 9e9, "node3": 1.0}), True),
        (Facts([DEAD], away_s=9e9, hosts={"node2": 9e9}), False),
        (Facts([DEAD], stuck=1, hosts={"node2": 1.0}), False),
    ],
)
def test_who_can_tell_somebody(facts: Facts, tells: bool, tmp_path: Path) -> None:
    assert said_by(facts, tmp_path, alerts=CHANNELS).tells is tells


def test_a_host_without_channels_tells_by_another_one_or_not_at_all(tmp_path: Path) -> None:
    assert not said_by(Facts(), tmp_path).tells
    assert said_by(Facts(hosts={"node2": 1.0}), tmp_path).tells


def test_the_notify_daemon_of_another_host_is_missed_when_nobody_else_can(tmp_path: Path) -> None:
    """It is the only one, and no daemon of this host: without this nobody would say that it is gone."""
    (gone,) = said_by(Facts(hosts={"node2": 7200.0}), tmp_path).daemons
    assert (gone.name, gone.state, gone.status) == ("notify on node2", "missing", "has not swept for 2.0 h")


def test_a_wrong_clock_keeps_no_host_alive() -> None:
    row = SimpleNamespace
    rows: Any = {
        "notify:centre:me": row(at=NOW),
        "notify:centre:node2": row(at=NOW + 9e6),
        "notify:other:node3": row(at=NOW),
        "site:summit": row(at=NOW),
    }
    assert other_hosts(rows, "centre", "me", NOW) == {"node2": 9e6}


def test_only_what_is_grave_and_our_own_is_said(tmp_path: Path) -> None:
    names = {
        "disk:tolar:archive:full": 2,
        "disk:tolar:state:full": 1,
        "heartbeat:summit:silent": 2,
        "heartbeat:summit:relay:clock:a:jump": 2,
        "heartbeat:route/far:daemons": 2,
    }
    rows = [SimpleNamespace(alert=a, message="m", severity=s, raised_at=NOW) for a, s in names.items()]
    said = said_by(Facts(alerts=rows), tmp_path)
    assert [each.alert for each in said.alerts] == ["disk:tolar:archive:full", "heartbeat:summit:silent"]
    assert not is_passed_on("sequence:vis:20260115:relay:x") and not is_passed_on("daemon:h:work:dead")


def document(**more: Any) -> dict[str, Any]:
    alerts = [{"alert": "a:b", "message": "one\nline \x1b[31m", "raised": NOW}]
    daemons = [{"name": "notify", "state": "dead", "status": ""}]
    plain = {"site": "tolar", "host": "t1", "number": 1, "every_s": 30.0, "tells": False}
    return {**plain, "alerts": alerts, "daemons": daemons, **more}


def never(alert: str) -> bool:
    return False


def test_what_another_site_says_is_one_line_and_never_a_relay_of_a_relay() -> None:
    found = relayed(document(), "tolar", "heartbeat:tolar", never, silent=False)
    assert [each.alert for each in found] == ["heartbeat:tolar:relay:a:b", "heartbeat:tolar:daemons"]
    assert found[0].message == "tolar cannot reach its people, and says: one line [31m"
    again = [{"alert": "heartbeat:us:relay:a:b", "message": "m", "raised": NOW}]
    assert relayed(document(alerts=again, daemons=[]), "tolar", "heartbeat:tolar", never, silent=False) == []
    assert relayed(document(tells=True), "tolar", "heartbeat:tolar", never, silent=False) == []
    assert relayed({}, "tolar", "heartbeat:tolar", never, silent=False) == []


def told(*centres: Word, routes: tuple[Word, ...] = (), is_open: Any = never) -> list[str]:
    settings = HeartbeatConditions()
    facts = Heard(routes=routes, centres=centres)
    return [each.alert for each in decide(facts, settings, ConditionSettings(), NOW, is_open)]


def test_two_routes_to_one_receiver_tell_once() -> None:
    one, two = (Word(name, NOW, NOW - 9000.0, NOW, document()) for name in ("a", "b"))
    first = ["heartbeat:route/a:relay:a:b", "heartbeat:route/a:daemons"]
    assert told(one, two) == first
    # another host's, or another site's, is another word
    assert len(told(one, Word("b", NOW, NOW - 9000.0, NOW, document(host="t2")))) == 4
    # when the first one's link is cut, the second one tells
    cut = Word("a", NOW - 700.0, NOW - 9000.0, NOW, document())
    assert told(cut, two) == ["heartbeat:route/b:relay:a:b", "heartbeat:route/b:daemons"]


def test_of_a_centre_that_is_not_heard_nothing_new_is_told() -> None:
    known = {"heartbeat:route/a:relay:a:b"}
    for quiet in (Word("a", NOW - 700.0, NOW - 9000.0, NOW, document()), Word("a", NOW, 0.0, NOW - 700.0, document())):
        assert told(quiet) == []
        assert told(quiet, is_open=known.__contains__) == ["heartbeat:route/a:relay:a:b"]
    # one that speaks rarely is not silent
    assert told(Word("a", NOW - 700.0, NOW - 9000.0, NOW, document(every_s=600.0))) != []
