"""Texts of the site's own: taken from the settings, and refused before any daemon starts when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.alerts.delivery import Job
from services.alerts.inspection import mistakes_in_alerts
from services.alerts.sender import Words, message_of
from services.core.alert_settings import AlertSettings
from services.core.errors import BadSettings


def settings(templates: Path | None) -> AlertSettings:
    return AlertSettings.model_validate(
        {
            "templates": templates,
            "channels": {"modem": {"kind": "sms", "smstools": "/var/spool/sms"}},
            "people": {"anna": {"sms": "+56912345678"}},
            "oncall": {"default": ["anna"]},
        }
    )


def test_a_message_has_the_words_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "subject.txt").write_text("Cerro Uno: $what $headline\n")
    job = Job("k", "test", "anna", "mail", 1, 1.7e9, ())
    message = message_of(job, Words.of("summit", settings(tmp_path)))
    assert message.subject.startswith("Cerro Uno: ")


def test_a_template_with_an_unknown_word_stops_before_the_night(tmp_path: Path) -> None:
    (tmp_path / "subject.txt").write_text("$nonsense\n")
    with pytest.raises(BadSettings, match="nonsense"):
        Words.of("summit", settings(tmp_path))
    assert [line for line in mistakes_in_alerts(settings(tmp_path)) if line.startswith("alerts.templates: ")]
