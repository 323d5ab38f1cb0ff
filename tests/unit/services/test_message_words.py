"""What a person reads first: the word over a message, and which of several alerts it names."""

from __future__ import annotations

import pytest

from services.alerts.message import compose
from services.alerts.message_facts import AlertView

NOW = 1_795_000_000.0


def view(alert: str, severity: int = 2, resolved_at: float | None = None) -> AlertView:
    return AlertView(alert, severity, f"{alert} is bad", NOW - 600.0, resolved_at=resolved_at)


@pytest.mark.parametrize(
    ("what", "subject", "sms"),
    [
        ("worse", "severity 2 now (got worse): disk:a is bad", "S2 WORSE: disk:a"),
        ("flapping", "severity 2 comes and goes: disk:a is bad", "S2 FLAPPING: disk:a"),
    ],
)
def test_worse_and_flapping_have_words_of_their_own(what: str, subject: str, sms: str) -> None:
    message = compose(what, "anna", [view("disk:a")], "lasilla", None, NOW)  # type: ignore[arg-type]
    assert subject in message.subject
    assert sms in message.sms
    assert "nightferry alerts ack disk:a" in message.text


def test_a_summary_names_what_is_open_before_what_is_over() -> None:
    over, still = view("route:a:down", 2, NOW - 60.0), view("disk:a", 1)
    message = compose("summary", "anna", [over, still], "lasilla", None, NOW)
    assert "disk:a" in message.subject
    assert "SUMMARY: disk:a" in message.sms
