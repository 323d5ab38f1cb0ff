"""Conditions that a person must look at: one row per condition, open or over."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, select, update

from services.core.ledger.rows import insert_new
from services.core.ledger.schema import alerts
from services.core.ledger.states import record


def raise_alert(conn: Connection, alert: str, message: str, now: float, severity: int = 1) -> bool:
    """Open an alert; False when it is open already (its message is brought up to date)."""
    row = {"alert": alert[:200], "severity": severity, "message": message}
    known = conn.execute(select(alerts.c.open).where(alerts.c.alert == row["alert"])).scalar_one_or_none()
    if known is None:
        insert_new(conn, alerts, [{**row, "open": True, "raised_at": now, "updated_at": now}])
    else:
        change = {**row, "open": True, "updated_at": now, **({} if known else {"raised_at": now})}
        conn.execute(update(alerts).where(alerts.c.alert == row["alert"]).values(**change))
    if not known:
        record(conn, "alert", str(row["alert"]), "raised", now=now, reason=message)
    return not known


def resolve_alert(conn: Connection, alert: str, now: float) -> bool:
    """The condition is over; False when the alert was not open."""
    mine = (alerts.c.alert == alert[:200]) & alerts.c.open
    if not conn.execute(update(alerts).where(mine).values(open=False, updated_at=now)).rowcount:
        return False
    record(conn, "alert", alert[:200], "resolved", now=now)
    return True


def open_alerts(conn: Connection) -> Sequence[Row]:
    """Every alert that is open, the gravest and oldest first."""
    query = select(alerts).where(alerts.c.open)
    return conn.execute(query.order_by(alerts.c.severity.desc(), alerts.c.raised_at, alerts.c.alert)).all()
