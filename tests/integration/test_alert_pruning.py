"""What the ledger forgets of alerts, and what it never does, on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, update

from services.alerts.account import account_of, history_of
from services.alerts.delivery import Outcome, Try
from services.alerts.outbox import claim_jobs, settle_outcomes
from services.alerts.rounds import decide_round
from services.core.ledger.alert_schema import alerts, mutes, notifications, tellings
from services.core.ledger.alerts import acknowledge, raise_alert, resolve_alert, set_flapping
from services.core.ledger.engine import Ledger
from services.core.ledger.mutes import mute
from services.core.ledger.pruning import AT_ONCE, BODY_S, prune
from services.core.ledger.schema import events
from tests.desk import Desk
from tests.unit.alerts.world import settings_of

DAY = 86_400.0
KEEP = 100 * DAY
SETTINGS = settings_of(group_s=0)
_BODIES = select(notifications.c.body).order_by(notifications.c.created_at)
TREND = [[float(second), 20.0] for second in range(0, 3600, 15)]
DETAILS = {"value": 21.0, "trend_unit": "C", "trend": TREND, "step": 3, "store": "here"}


def send(ledger: Ledger, now: float) -> list[str]:
    """Decide and send everything that is due; what the messages are."""
    decide_round(ledger, SETTINGS, now)
    said = []
    while jobs := claim_jobs(ledger, SETTINGS, now, {"mail": 10, "sms": 10}):
        said += [f"{job.what} {job.kind}" for job in jobs]
        settle_outcomes(ledger, [Outcome(job, (Try("c", "sent", 0.1),)) for job in jobs], SETTINGS, now)
    return said


def forget(ledger: Ledger, now: float, most: int = 200) -> int:
    """Until nothing is left to forget; in how many transactions."""
    for number in range(1000):
        with ledger.begin() as conn:
            if not prune(conn, now, KEEP, most):
                return number
    raise AssertionError("it never ends")


def count(ledger: Ledger, table: Any) -> int:
    with ledger.read() as conn:
        return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


def over(ledger: Ledger, alert: str, at: float) -> None:
    """A condition that was told, and its end too."""
    with ledger.begin() as conn:
        raise_alert(conn, alert, "bad", at, details=DETAILS)
    assert send(ledger, at + 1) == ["raised mail"]
    with ledger.begin() as conn:
        resolve_alert(conn, alert, at + 100)
    assert send(ledger, at + 101) == ["resolved mail"]


def test_a_message_loses_its_words_after_a_month_and_its_record_later(ledger: Ledger) -> None:
    over(ledger, "disk:a", 0.0)
    audit = count(ledger, events)
    assert forget(ledger, BODY_S) == 0
    forget(ledger, BODY_S + 102.0)
    with ledger.read() as conn:
        assert list(conn.execute(select(notifications.c.body)).scalars()) == [{}, {}]
        details = conn.execute(select(alerts.c.details)).scalar_one()
        told = [step["text"] for step in history_of(conn, "disk:a") if step["step"].startswith("told")]
    assert details == {key: value for key, value in DETAILS.items() if key != "trend"}
    assert told == ["mail to anna: sent through c"] * 2
    forget(ledger, KEEP + 102.0)
    assert (count(ledger, notifications), count(ledger, tellings)) == (0, 0)
    assert (count(ledger, alerts), count(ledger, events)) == (1, audit)
    over(ledger, "disk:a", KEEP + 200.0)  # the next episode is told like any other


def test_what_was_told_of_an_open_alert_stays_and_nobody_is_told_anew(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "bad", 0.0, details=DETAILS)
    assert send(ledger, 1.0) == ["raised mail"]
    forget(ledger, 2 * KEEP)
    assert send(ledger, 2 * KEEP) == ["repeat mail"], "not 'raised': the person knows of it"
    with ledger.read() as conn:
        ((account,), _) = account_of(conn, 2 * KEEP)
        assert conn.execute(select(alerts.c.details)).scalar_one() == DETAILS
        assert [not body for body in conn.execute(_BODIES).scalars()] == [True, False]
    assert account["told"] == ["anna"]


def test_the_end_of_an_alert_that_lasted_longer_than_the_record_is_told(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "bad", 0.0)
    assert send(ledger, 1.0) == ["raised mail"]
    with ledger.begin() as conn:
        acknowledge(conn, "disk:a", 2.0, "anna")
        resolve_alert(conn, "disk:a", 2 * KEEP)
    forget(ledger, 2 * KEEP + 1)  # before the next decision
    assert send(ledger, 2 * KEEP + 2) == ["resolved mail"]


def test_what_comes_and_goes_is_not_told_anew_while_it_is_away(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "bad", 0.0)
    assert send(ledger, 1.0) == ["raised mail"]
    with ledger.begin() as conn:
        set_flapping(conn, "disk:a", 1, 2.0, "comes and goes")
        resolve_alert(conn, "disk:a", 3.0)
    forget(ledger, 2 * KEEP)
    assert (count(ledger, tellings), count(ledger, notifications)) == (1, 1)


def test_what_waits_or_is_being_sent_is_never_forgotten(ledger: Ledger) -> None:
    for name in ("a", "b"):
        with ledger.begin() as conn:
            raise_alert(conn, f"disk:{name}", "bad", 0.0, severity=2)
    decide_round(ledger, SETTINGS, 1.0)
    assert len(claim_jobs(ledger, SETTINGS, 1.0, {"sms": 1})) == 1
    with ledger.begin() as conn:
        for name in ("a", "b"):
            resolve_alert(conn, f"disk:{name}", 2.0)
        bodies = conn.execute(select(notifications.c.key, notifications.c.body)).all()
        conn.execute(update(notifications).values(updated_at=0.0))
    forget(ledger, 3 * KEEP)
    with ledger.read() as conn:
        assert sorted(conn.execute(select(notifications.c.key, notifications.c.body)).all()) == sorted(bodies)
    assert count(ledger, tellings) == 4


def test_it_is_done_in_small_steps(ledger: Ledger) -> None:
    for number in range(4):
        over(ledger, f"disk:{number}", float(number))
    with ledger.begin() as conn:
        for number in range(4):
            mute(conn, f"old:{number}", 5.0, 1.0, "anna", "why not")
        mute(conn, "new", 2 * KEEP + 1, 1.0, "anna", "why not")
    with ledger.begin() as conn:
        assert prune(conn, 2 * KEEP, KEEP, most=2) <= 5 * 2
    assert count(ledger, mutes) == 3
    assert count(ledger, notifications) >= 6
    assert forget(ledger, 2 * KEEP, most=2) == 3
    assert (count(ledger, notifications), count(ledger, tellings), count(ledger, mutes)) == (0, 0, 1)


def test_the_daemon_goes_on_from_round_to_round_until_nothing_old_is_left(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "json://127.0.0.1:9", "json://127.0.0.1:9")
    old = {
        "what": "raised",
        "person": "anna",
        "kind": "mail",
        "state": "sent",
        "not_before": 1.0,
        "body": {"alerts": []},
    }
    rows = [{**old, "key": f"k{number}", "created_at": 1.0, "updated_at": 2.0} for number in range(2 * AT_ONCE + 1)]
    with desk.ledger.begin() as conn:
        conn.execute(insert(notifications), rows)
    try:
        desk.start()
        desk.wait(lambda: count(desk.ledger, notifications) == 0, "end of the old messages")
    finally:
        desk.close()
