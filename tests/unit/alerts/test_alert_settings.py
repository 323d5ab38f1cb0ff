"""Settings of alerts: every mistake is told where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.core.errors import BadSettings
from services.core.inspection import mistakes_of
from services.core.settings import load_settings

ALERTS: dict[str, Any] = {
    "channels": {
        "smtp": {"kind": "mail", "url": {"env": "SMTP_URL"}},
        "modem": {"kind": "sms", "smstools": "/var/spool/sms"},
    },
    "people": {"anna": {"mail": "anna@example.org", "sms": "+56912345678"}, "ben": {"mail": "ben@example.org"}},
    "oncall": {"time_zone": "America/Santiago", "default": ["anna", "ben"]},
}


def load(tmp_path: Path, alerts: dict[str, Any]) -> Any:
    file = tmp_path / "site.yaml"
    document = {"site": "s", "state_dir": str(tmp_path), "ledger": {"url": f"sqlite:///{tmp_path}/l"}, "alerts": alerts}
    file.write_text(yaml.safe_dump(document))
    return load_settings(file).alerts


def test_defaults_repeat_severity_two_more_often(tmp_path: Path) -> None:
    alerts = load(tmp_path, {**ALERTS, "repeat_s": {1: 7200}})
    assert (alerts.repeat_after_s(1), alerts.repeat_after_s(2)) == (7200.0, 900.0)
    assert alerts.kinds_of("anna") == ("mail", "sms") and alerts.kinds_of("ben") == ("mail",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"people": {}}, "at least 1 entry"),
        ({"people": {"anna": {}}}, "expected at least one of 'mail' and 'sms'"),
        ({"people": {"anna": {"mail": "anna"}}}, "expected one e-mail address"),
        ({"people": {"anna": {"mail": "anna@a, ben@b"}}}, "expected one e-mail address"),
        ({"people": {"anna": {"sms": "0912345678"}}}, "phone number in quotes with +"),
        ({"oncall": {"default": []}}, "at least 1 entry"),
        ({"oncall": {"default": ["ana"]}}, "nobody under 'people' is called 'ana'; did you mean anna?"),
        ({"oncall": {"default": ["anna"], "time_zone": "Chile"}}, "expected a time zone"),
        ({"oncall": {"default": ["anna"], "shifts": [{"hours": "18-8", "chain": ["anna"]}]}}, "HH:MM-HH:MM"),
        ({"oncall": {"default": ["anna"], "shifts": [{"chain": ["zoe"]}]}}, "oncall.shifts.0.chain: nobody"),
        ({"oncall": {"default": ["anna"], "shifts": [{"days": ["friday"], "chain": ["anna"]}]}}, "'fri'"),
        ({"channels": {"smtp": {"kind": "mail"}}}, "exactly one of 'url' and 'smstools'"),
        ({"channels": {"modem": {"kind": "mail", "smstools": "/var/spool/sms"}}}, "expected kind sms"),
        (
            {"people": {"anna": {"sms": "+56912345678"}}, "channels": {"smtp": ALERTS["channels"]["smtp"]}},
            "people.anna: has no address for any channel (channels here: mail)",
        ),
        ({"repeat_s": {3: 60}}, "expected 1 or 2"),
        ({"dashboard_url": "grafana"}, "expected http://"),
        ({"keep_days": 3}, "keep_days: expected a number from 7"),
        ({"group": 10}, "unknown key"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load(tmp_path, {**ALERTS, **change})
    assert words in str(caught.value)
    assert f"{tmp_path}/site.yaml:" in str(caught.value)


def test_config_check_reads_the_secrets_of_the_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path, ALERTS)
    monkeypatch.delenv("SMTP_URL", raising=False)
    assert any(
        "alerts.channels.smtp.url: secret environment variable" in m for m in mistakes_of(tmp_path / "site.yaml")
    )
