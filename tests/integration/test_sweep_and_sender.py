"""The sweep beside those who raise alerts themselves, and beside a host that is just starting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.conditions import daemons
from services.conditions.base import Eye, OpenAlert
from services.conditions.queues import look as look_at_queues
from services.conditions.sweep import Sweeper
from services.conditions.vitals import Facts, compose
from services.core.alert_settings import AlertSettings
from services.core.ledger.alert_schema import alerts
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import Ledger
from services.core.metrics.spool import Spool
from services.core.settings import Settings

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
