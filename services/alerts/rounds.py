"""One round of decisions on the ledger: read, decide, write down; all or nothing."""

from __future__ import annotations

from sqlalchemy import Connection, update

from services.alerts.body import body_of
from services.alerts.policy import ack_after, decide
from services.alerts.reading import read_situation
from services.alerts.situation import Decision, Planned, Situation
from services.core.alert_settings import AlertSettings
from services.core.ledger.alert_schema import alerts
from services.core.ledger.alerts import note, set_flapping
from services.core.ledger.engine import Ledger
from services.core.ledger.notifications import lock_decisions, make


def decide_round(ledger: Ledger, settings: AlertSettings, now: float) -> int:
    """Put every message that is to be made now into the queue; how many.

    Any number of daemons may do so on one ledger: they take turns, and whoever comes later finds what was told.

    Raises
    ------
    LedgerUnreachable
        Nothing was written.
    """
    with ledger.read() as conn:  # most rounds have nothing to say, and disturb no writer
        if decide(read_situation(conn, settings, now), settings) == Decision():
            return 0
    with ledger.begin() as conn:
        lock_decisions(conn)
        situation = read_situation(conn, settings, now)
        decision = decide(situation, settings)
        _apply_flaps(conn, decision, situation)
        made = [planned for planned in decision.messages if _make(conn, planned, settings, now)]
        _note_escalations(conn, made, now)
        return len(made)


def _make(conn: Connection, planned: Planned, settings: AlertSettings, now: float) -> bool:
    told = [
        {
            "alert": need.condition.alert,
            "episode": need.episode,
            "step": need.step,
            "severity": need.condition.severity,
        }
        for need in planned.needs
    ]
    row = {"key": planned.key, "what": planned.what, "person": planned.person, "kind": planned.kind}
    return make(conn, {**row, "body": body_of(planned, settings)}, told, now)


def _apply_flaps(conn: Connection, decision: Decision, situation: Situation) -> None:
    known = {condition.alert: condition for condition in situation.conditions}
    for flap in decision.flaps:
        set_flapping(conn, flap.alert, flap.episode, situation.now, flap.reason)
        before = known[flap.alert]
        if ack_after(flap, before.acked_at, before.raised_at) != before.acked_at:
            conn.execute(update(alerts).where(alerts.c.alert == flap.alert).values(acked_at=None, acked_by=None))


def _note_escalations(conn: Connection, made: list[Planned], now: float) -> None:
    """In the audit once for every alert and person, by however many ways the person is told."""
    brought_in = dict.fromkeys(
        (need.condition.alert, need.person, need.condition.raised_at)
        for planned in made
        for need in planned.needs
        if need.what == "escalated"
    )
    for alert, person, raised_at in brought_in:
        note(conn, alert, "escalated", now, seconds=round(now - raised_at, 3), reason=f"to {person}")
