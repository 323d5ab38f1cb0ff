"""Conditions that a person must look at: one row per condition, open or over; every step in the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from services.core.errors import IllegalMove
from services.core.ledger.alert_schema import alerts
from services.core.ledger.alert_words import name_of, plain, storable
from services.core.ledger.rows import insert_new
from services.core.ledger.states import record

RAISES_KEPT: Final = 32  # beginnings of episodes: enough to see that a condition comes and goes

# Steps that change the state of an alert. `muted`, `unmuted` and `escalated` are said of one without changing it.
ALLOWED: Final[dict[str | None, frozenset[str]]] = {
    None: frozenset({"raised"}),
    "raised": frozenset({"acknowledged", "resolved", "worse", "flapping", "calm"}),
    "acknowledged": frozenset({"acknowledged", "resolved", "worse", "flapping", "calm"}),
    "resolved": frozenset({"raised", "acknowledged", "flapping", "calm"}),  # flapping: over at this moment
}
SAID: Final = frozenset({"muted", "unmuted", "escalated"})


def note(
    conn: Connection,
    alert: str,
    to: str,
    now: float,
    *,
    came_from: str | None = None,
    seconds: float | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> None:
    """Write one step of an alert into the audit: when, from which state, who did it, why.

    Raises
    ------
    IllegalMove
        `ALLOWED` does not hold the step.
    """
    if to not in SAID and to not in ALLOWED.get(came_from, frozenset()):
        raise IllegalMove(f"alert {alert} cannot go from {came_from} to {to}")
    words = ": ".join(word for word in (by and f"by {by}", reason) if word) or None
    record(conn, "alert", alert, to, now=now, came_from=came_from, seconds=seconds, reason=words)


def state_of(row: Row) -> str:
    """`raised`, `acknowledged` or `resolved`: where the row of an alert stands."""
    if not row.open:
        return "resolved"
    return "acknowledged" if row.acked_at is not None else "raised"


def raise_alert(
    conn: Connection,
    alert: str,
    message: str,
    now: float,
    severity: int = 1,
    details: Mapping[str, Any] | None = None,
) -> bool:
    """Open an alert; False when it is open already (its message, details and severity are brought up to date).

    An acknowledgement holds for the severity that the person saw: one that becomes graver is unacknowledged again.

    Parameters
    ----------
    alert : str
        Name of the condition, `ABOUT:…`; the same condition has the same name whenever it comes back.
    severity : int
        1: a person by day (mail). 2: a person now (mail and SMS).
    details
        What a message shows beside its words, as JSON: `value`, `limit`, `unit`, `parameter`, `source`, and `trend`,
        a list of `[seconds since 1970, value]` of the last hour.
    """
    name, message = name_of(alert), plain(message)
    fields = {"severity": severity, "message": message, "details": storable(details or {}), "updated_at": now}
    known = _row(conn, name)
    if known is None:
        first = {"alert": name, "open": True, "raised_at": now, "episode": 1, "raises": [now]}
        if insert_new(conn, alerts, [{**fields, **first}]):
            note(conn, name, "raised", now, reason=message)
            return True
        known = _row(conn, name)  # another process was first
        assert known is not None
    if not known.open:
        fields |= _next_episode(known, now)
        note(conn, name, "raised", now, came_from="resolved", seconds=_since(known.updated_at, now), reason=message)
    elif severity > known.severity:
        fields |= {"acked_at": None, "acked_by": None}
        since = _since(known.raised_at, now)
        note(conn, name, "worse", now, came_from=state_of(known), seconds=since, reason=message)
    conn.execute(update(alerts).where(alerts.c.alert == name).values(**fields))
    return not known.open


def _next_episode(known: Row, now: float) -> dict[str, Any]:
    fields = {
        "open": True,
        "raised_at": now,
        "episode": known.episode + 1,
        "raises": [*(known.raises or [known.raised_at]), now][-RAISES_KEPT:],
        "resolved_at": None,
    }
    # What comes and goes was acknowledged as such: each coming back does not call the person again.
    return fields if known.flapping is not None else {**fields, "acked_at": None, "acked_by": None}


def resolve_alert(
    conn: Connection, alert: str, now: float, message: str | None = None, details: Mapping[str, Any] | None = None
) -> bool:
    """The condition is over; False when the alert was not open.

    `message` and `details` say how things are now; without them the alert goes on saying what it was about.
    """
    known = _row(conn, name_of(alert))
    if known is None or not known.open:
        return False
    over: dict[str, Any] = {"open": False, "updated_at": now, "resolved_at": now}
    if message is not None:
        over["message"] = plain(message)
    if details is not None:
        over["details"] = storable({**(known.details or {}), **details})
    conn.execute(update(alerts).where(alerts.c.alert == known.alert).values(**over))
    note(conn, known.alert, "resolved", now, came_from=state_of(known), seconds=_since(known.raised_at, now))
    return True


def acknowledge(conn: Connection, alert: str, now: float, by: str, reason: str | None = None) -> bool:
    """A person has seen it: no repeat and no escalation any more; False when there is nothing to acknowledge."""
    known = _row(conn, name_of(alert))
    if known is None or known.acked_at is not None or not (known.open or known.flapping is not None):
        return False
    since = _since(known.raised_at, now)
    note(conn, known.alert, "acknowledged", now, came_from=state_of(known), seconds=since, by=by, reason=reason)
    conn.execute(update(alerts).where(alerts.c.alert == known.alert).values(acked_at=now, acked_by=by[:64]))
    return True


def set_flapping(conn: Connection, alert: str, episode: int | None, now: float, reason: str) -> None:
    """The condition comes and goes since `episode`, or has calmed down (None)."""
    known = _row(conn, alert)
    if known is None or known.flapping == episode:
        return
    conn.execute(update(alerts).where(alerts.c.alert == alert).values(flapping=episode))
    note(conn, alert, "calm" if episode is None else "flapping", now, came_from=state_of(known), reason=reason)


def open_alerts(conn: Connection) -> Sequence[Row]:
    """Every alert that is open, the gravest and oldest first."""
    query = select(alerts).where(alerts.c.open)
    return conn.execute(query.order_by(alerts.c.severity.desc(), alerts.c.raised_at, alerts.c.alert)).all()


def _row(conn: Connection, alert: str) -> Row | None:
    return conn.execute(select(alerts).where(alerts.c.alert == alert).with_for_update()).one_or_none()


def _since(then: float, now: float) -> float:
    return round(now - then, 3)
