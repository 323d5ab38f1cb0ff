"""The sweep beside those who raise alerts themselves, and beside a host that is just starting."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from services.alerts.daemon import Notifier
from services.alerts.sweeping import ALERT, Sweeping
from services.conditions import daemons
from services.conditions.base import Eye, OpenAlert
from services.conditions.queues import look as look_at_queues
from services.conditions.sweep import Sweeper
from services.conditions.vitals import Facts, compose
from services.core.alert_settings import AlertSettings
from services.core.daemon import Daemon
from services.core.ledger.alert_schema import alerts
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import Ledger
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from tests.fixtures.smtp import SmtpServer

NOW = 1_780_000_000.0


def settings_of(root: Path, **conditions: Any) -> Settings:
    return Settings.model_validate(
        {
            "site": "centre",
            "state_dir": root / "state",
            "archive_dir": root / "archive",
            "ledger": {"url": f"sqlite:///{root}/ledger.sqlite"},
            "redis": {"url": "redis://127.0.0.1:1/0"},
            "conduct": {},
            "work": {"products_dir": root / "products", "log_dir": root / "logs"},
            "conditions": conditions,
        }
    )


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_the_sweep_does_not_end_what_the_sender_of_messages_says(ledger: Ledger, tmp_path: Path) -> None:
    """SMTP is down: that no mail can be sent stays open until a mail can be, however often the queues are looked at."""
    spool = Spool(tmp_path / "metrics.sqlite", "centre")
    with ledger.begin() as conn:
        raise_alert(conn, "queue:notifications:mail", "no mail can be sent: connection refused", NOW, 2)
        raise_alert(conn, "queue:checks:depth", "many tasks wait", NOW, 1)
    Sweeper(settings_of(tmp_path), ledger, spool, (("queues", look_at_queues),)).sweep(NOW + 30.0)
    with ledger.read() as conn:
        still = {row.alert for row in conn.execute(select(alerts).where(alerts.c.open))}
    spool.close()
    assert "queue:notifications:mail" in still and "queue:checks:depth" not in still


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_a_daemon_that_has_yet_to_start_is_not_missing_at_once(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a host starts, notify looks before the others have begun: nobody is woken by that."""
    settings = settings_of(tmp_path, daemons={"expect": ["conduct"]})
    clock = [1000.0]
    monkeypatch.setattr("services.conditions.daemons.time.monotonic", lambda: clock[0])

    def look(memory: dict[str, Any], known: dict[str, OpenAlert]) -> list[str]:
        eye = Eye(settings, ledger, "h", NOW, memory, known)
        return [finding.alert for finding in daemons.look(eye).findings]

    memory: dict[str, Any] = {}
    assert look(memory, {}) == []
    clock[0] += 90.0
    assert look(memory, {}) == ["daemon:h:conduct:missing"]
    # what is open stays open when the notify daemon is started again
    assert look({}, {"daemon:h:conduct:missing": OpenAlert(2, "", NOW, NOW, {})}) == ["daemon:h:conduct:missing"]


def test_a_notify_daemon_that_is_started_again_alarms_no_other_site(tmp_path: Path) -> None:
    """A restart takes seconds, and may fall on a heartbeat: only a longer absence is told by the other site."""
    address = tmp_path / "smtp.url"
    settings = settings_of(tmp_path).model_copy(
        update={
            "alerts": AlertSettings.model_validate(
                {
                    "channels": {"smtp": {"kind": "mail", "url": {"file": str(address)}}},
                    "people": {"anna": {"mail": "anna@example.org"}},
                    "oncall": {"default": ["anna"]},
                }
            )
        }
    )
    words = [daemons.DaemonWord("notify", "notify", "missing", "was stopped")]
    assert compose(settings, Facts(words, away_s=5.0), 1, 60.0, NOW).tells
    assert not compose(settings, Facts(words, away_s=300.0), 1, 60.0, NOW).tells
    stuck = compose(settings, Facts(words, stuck=1, away_s=5.0), 1, 60.0, NOW)
    assert not stuck.tells, "messages that do not go are another matter"


class LateLedger:
    """The clerk of a notify daemon whose ledger is not there yet when the sweep first asks for it."""

    good_at = None
    errands: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.asked = 0
        self.asked_again = threading.Event()

    @property
    def ledger(self) -> Ledger | None:
        self.asked += 1
        if self.asked > 2:
            self.asked_again.set()
        return self._ledger if self.asked > 1 else None


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_the_sweep_waits_for_a_ledger_that_is_not_there_yet(ledger: Ledger, tmp_path: Path) -> None:
    # given an alert of a queue, and a sweep that would end it, for nobody conducts here
    settings = settings_of(tmp_path, poll_s=0.1, disks=None, clock=None)
    spool = Spool(tmp_path / "metrics.sqlite", "centre")
    with ledger.begin() as conn:
        raise_alert(conn, "queue:checks:depth", "many tasks wait", NOW, 1)
    clerk = LateLedger(ledger)
    sweeping = Sweeping(settings, spool, clerk)  # type: ignore[arg-type]
    # when it begins without a ledger
    sweeping.start()
    # then it asks for it again, and looks
    assert clerk.asked_again.wait(30)
    sweeping.stop()
    spool.close()
    with ledger.read() as conn:
        still = {row.alert for row in conn.execute(select(alerts).where(alerts.c.open))}
    assert "queue:checks:depth" not in still and ALERT not in still


class UntilTold(Daemon):
    """A daemon that ends by itself when a mail has come."""

    def __init__(self, smtp: SmtpServer) -> None:
        super().__init__("notify")
        self._smtp = smtp

    def wait(self, seconds: float) -> bool:
        return super().wait(min(seconds, 0.05)) or bool(self._smtp.mails)


@pytest.mark.parametrize(("alerts_read_again", "to"), [({"oncall": {"default": ["ben"]}}, "ben"), (None, "anna")])
def test_without_the_ledger_those_are_told_whom_the_settings_name_now(
    tmp_path: Path, smtp: SmtpServer, alerts_read_again: dict[str, Any] | None, to: str
) -> None:
    # given a ledger that is none, and settings that were changed, or lost their alerts, since the daemon began
    (tmp_path / "smtp.url").write_text(smtp.url)
    before = {
        "channels": {"smtp": {"kind": "mail", "url": {"file": f"{tmp_path}/smtp.url"}}},
        "people": {name: {"mail": f"{name}@example.org"} for name in ("anna", "ben")},
        "oncall": {"default": ["anna"]},
        "poll_s": 0.05,
        "ledger_patience_s": 0.1,
    }
    document = {"site": "desk", "state_dir": str(tmp_path), "ledger": {"url": f"sqlite:///{tmp_path}"}}
    settings = Settings.model_validate({**document, "alerts": before})
    assert settings.alerts is not None
    if alerts_read_again is not None:
        document["alerts"] = before | alerts_read_again
    (tmp_path / "desk.yaml").write_text(yaml.safe_dump(document))
    daemon, spool = UntilTold(smtp), Spool(tmp_path / "metrics.sqlite", "desk")
    daemon.reload.set()
    # when it has read them again
    Notifier(daemon, settings, settings.alerts, spool, tmp_path / "desk.yaml").run()
    spool.close()
    # then the last resort goes by them, and by the old ones where there are no new ones
    assert [mail.to for mail in smtp.mails] == [(f"{to}@example.org",)]
