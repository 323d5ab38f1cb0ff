"""Conditions that a person must look at: one row per condition, open or over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from services.core.ledger.alert_schema import alerts
from services.core.ledger.rows import insert_new
from services.core.ledger.states import record


def raise_alert(
    conn: Connection,
    alert: str,
    message: str,
    now: float,
    severity: int = 1,
    details: Mapping[str, Any] | None = None,
) -> bool:
    """Open an alert; False when it is open already (its message, details and severity are brought up to date).

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
    row = {"alert": alert[:200], "severity": severity, "message": message, "details": dict(details or {})}
    known = conn.execute(select(alerts.c.open).where(alerts.c.alert == row["alert"])).scalar_one_or_none()
    if known is None:
        insert_new(conn, alerts, [{**row, "open": True, "raised_at": now, "updated_at": now, "episode": 1}])
    else:
        again = {"raised_at": now, "episode": alerts.c.episode + 1, "acked_at": None, "acked_by": None}
        change = {**row, "open": True, "updated_at": now, **({} if known else again), "resolved_at": None}
        conn.execute(update(alerts).where(alerts.c.alert == row["alert"]).values(**change))
    if not known:
        record(conn, "alert", str(row["alert"]), "raised", now=now, reason=message)
    return not known


def resolve_alert(conn: Connection, alert: str, now: float) -> bool:
    """The condition is over; False when the alert was not open."""
    mine = (alerts.c.alert == alert[:200]) & alerts.c.open
    over = {"open": False, "updated_at": now, "resolved_at": now}
    if not conn.execute(update(alerts).where(mine).values(**over)).rowcount:
        return False
    record(conn, "alert", alert[:200], "resolved", now=now)
    return True


def open_alerts(conn: Connection) -> Sequence[Row]:
    """Every alert that is open, the gravest and oldest first."""
    query = select(alerts).where(alerts.c.open)
    return conn.execute(query.order_by(alerts.c.severity.desc(), alerts.c.raised_at, alerts.c.alert)).all()
