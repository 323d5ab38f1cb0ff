"""The queue of messages: what waited for long is merged, what is due is claimed, what was answered is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from services.alerts.body import document_of, slim
from services.alerts.delivery import KINDS, Job, Outcome, fields_after, lease_s, summary_of
from services.alerts.reading import alerts_named, condition_of
from services.core.alert_settings import AlertSettings
from services.core.ledger import notifications as queue
from services.core.ledger.alerts import open_alerts, raise_alert, resolve_alert
from services.core.ledger.engine import Ledger

_ABOUT: Final = "queue:notifications:"
_CLOCKS_S: Final = 60.0  # how far clocks of hosts may lie apart


def claim_jobs(
    ledger: Ledger, settings: AlertSettings, now: float, free: Mapping[str, int], sender: str = "notify"
) -> list[Job]:
    """Messages for `sender` to send now, of each kind at most as many as `free` says.

    What could not be sent and what came after it are one message: after hours without network a person gets one
    summary by each kind of channel, in which an alert that came and went is one line.

    Raises
    ------
    LedgerUnreachable
        Nothing was claimed.
    """
    latest = now + settings.retry_max_s + _CLOCKS_S
    with ledger.read() as conn:
        rows = queue.waiting(conn)
        if all(now < row.not_before <= latest for row in rows) and not queue.overdue(conn, now):
            return []
    with ledger.begin() as conn:
        queue.lock_decisions(conn)
        queue.hurry(conn, latest, now)
        for group in summary_of(queue.waiting(conn)):
            _merge(conn, group, now)
        lease = lease_s(settings)
        claimed: list[Row] = []
        for kind, most in free.items():
            people = [person for person in settings.people if kind in settings.kinds_of(person)]
            claimed += queue.claim(conn, kind, sender, now, lease, most, people)
        late = sorted({item["alert"] for row in claimed if row.attempts > 1 for item in row.body.get("alerts", ())})
        known = alerts_named(conn, late)
    return [_job(row, known) for row in claimed]


def settle_outcomes(ledger: Ledger, outcomes: Sequence[Outcome], settings: AlertSettings, now: float) -> None:
    """Write down what became of messages, and raise an alert about a kind of channel that cannot be reached.

    Raises
    ------
    LedgerUnreachable
        Nothing was written: settle them again.
    """
    with ledger.begin() as conn:
        for outcome in outcomes:
            queue.settle(conn, outcome.job.key, outcome.job.attempt, now, **fields_after(outcome, settings, now))
            _tell_of_channels(conn, outcome, now)


def _tell_of_channels(conn: Connection, outcome: Outcome, now: float) -> None:
    """What one kind of channel cannot say, the other kind says: no mail is an SMS, no SMS is a mail."""
    kind, person = outcome.job.kind, outcome.job.person
    if outcome.channel is not None:
        resolve_alert(conn, f"{_ABOUT}{kind}", now)
        resolve_alert(conn, f"{_ABOUT}{kind}:{person}", now)
        return
    if not outcome.tries:
        return  # the settings do not know the person, or the kind, any more: nobody is to mend it
    severity = 2 if kind == "mail" else 1
    if outcome.refused:
        words = f"no {kind} to {person}: {outcome.reason}"
        raise_alert(conn, f"{_ABOUT}{kind}:{person}", words[:500], now, severity)
    else:
        words = f"no {kind} can be sent: {outcome.reason}"
        raise_alert(conn, f"{_ABOUT}{kind}", words[:500], now, severity)


def forget_channels(conn: Connection, settings: AlertSettings, now: float) -> None:
    """Resolve alerts about people, and kinds of channel, that the settings do not have any more."""
    for row in open_alerts(conn):
        about, *rest = row.alert.removeprefix(_ABOUT).split(":")
        person = rest[0] if rest else None
        if not row.alert.startswith(_ABOUT) or about not in KINDS:
            continue
        gone = not settings.channels_of(about) if person is None else about not in settings.kinds_of(person)
        if gone:
            resolve_alert(conn, row.alert, now)


def _merge(conn: Connection, group: Sequence[Row], now: float) -> None:
    names = sorted({item["alert"] for row in group for item in row.body.get("alerts", ())})
    known = alerts_named(conn, names)
    earlier = {item["alert"]: item for row in group for item in row.body.get("alerts", ())}
    keys = sorted(row.key for row in group)
    person, kind = group[0].person, group[0].kind
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:20]
    row = {
        "key": f"summary-{person}-{kind}-{digest}",
        "what": "summary",
        "person": person,
        "kind": kind,
        "body": {"alerts": slim([_fresh(earlier[name], known) for name in names])},
        "attempts": max(item.attempts for item in group),
        "not_before": min(item.not_before for item in group),
        "created_at": min(item.created_at for item in group),
    }
    queue.merge(conn, row, keys, now)


def _job(row: Row, known: Mapping[str, Any]) -> Job:
    documents = tuple(_fresh(item, known) if row.attempts > 1 else item for item in row.body.get("alerts", ()))
    return Job(row.key, row.what, row.person, row.kind, row.attempts, row.created_at, documents)


def _fresh(document: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The alert as it stands now, for a message that had to wait."""
    row = known.get(document["alert"])
    return document if row is None else document_of(condition_of(row))
