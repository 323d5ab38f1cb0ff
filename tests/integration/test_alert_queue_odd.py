"""The queue of messages when settings, people and clocks are not what they were, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import update

from services.alerts.delivery import Answer, Job, Outcome, Try
from services.alerts.outbox import claim_jobs, forget_channels, settle_outcomes
from services.alerts.rounds import decide_round
from services.core.alert_settings import AlertSettings
from services.core.ledger.alert_schema import notifications
from services.core.ledger.alerts import open_alerts, raise_alert
from services.core.ledger.engine import Ledger
from tests.unit.alerts.world import settings_of

FREE = {"mail": 10, "sms": 10}
SETTINGS = settings_of(group_s=0)
Answers = Callable[[Job], Answer | None]


def play(ledger: Ledger, begin: float, seconds: int, answer: Answers, settings: AlertSettings = SETTINGS) -> list[str]:
    """Rounds of 10 s; what was sent, as `what person kind`."""
    sent = []
    for step in range(0, seconds, 10):
        at = begin + step
        decide_round(ledger, settings, at)
        outcomes = []
        for job in claim_jobs(ledger, settings, at, FREE):
            given = answer(job)
            outcomes.append(Outcome(job, (Try("channel", given, 0.1, "535 no"),) if given else ()))
            sent += [f"{job.what} {job.person} {job.kind}"] if given == "sent" else []
        settle_outcomes(ledger, outcomes, settings, at)
    return sent


def names_open(ledger: Ledger) -> list[str]:
    with ledger.read() as conn:
        return [row.alert for row in open_alerts(conn)]


def test_a_mail_server_that_refuses_everybody_is_told_by_sms(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:archive", "93 %", 1000.0, 1)
    sent = play(ledger, 1001.0, 60, lambda job: "sent" if job.kind == "sms" else "refused")
    assert "raised anna sms" in sent


def test_a_person_who_left_is_no_alert(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:archive", "93 %", 1000.0, 1)
    play(ledger, 1001.0, 10, lambda _: "refused")
    assert "queue:notifications:mail:anna" in names_open(ledger)
    without = settings_of(people={"ben": {"mail": "ben@example.org"}}, oncall={"default": ["ben"]}, group_s=0)
    with ledger.begin() as conn:
        forget_channels(conn, SETTINGS, 1100.0)
    assert "queue:notifications:mail:anna" in names_open(ledger)
    with ledger.begin() as conn:
        forget_channels(conn, without, 1101.0)
    assert names_open(ledger) == ["disk:archive"]
    play(ledger, 3000.0, 30, lambda job: "sent" if job.person == "ben" else None, without)
    assert names_open(ledger) == ["disk:archive"]


def test_a_message_to_a_person_whom_this_host_does_not_know_is_another_host_s(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:archive", "93 %", 1000.0, 1)
    decide_round(ledger, SETTINGS, 1001.0)
    older = settings_of(people={"ben": {"mail": "ben@example.org"}}, oncall={"default": ["ben"]}, group_s=0)
    assert claim_jobs(ledger, older, 1002.0, FREE) == []
    assert [job.person for job in claim_jobs(ledger, SETTINGS, 1003.0, FREE)] == ["anna"]


def test_a_message_that_waits_does_not_wait_for_a_clock_that_was_set_back(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:archive", "93 %", 1000.0, 1)
    decide_round(ledger, SETTINGS, 1001.0)
    for ahead_s, claimed in ((200.0, 0), (3 * 3600.0, 1)):
        with ledger.begin() as conn:
            conn.execute(update(notifications).values(not_before=1020.0 + ahead_s))
        assert len(claim_jobs(ledger, SETTINGS, 1020.0, FREE)) == claimed
