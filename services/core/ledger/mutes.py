"""Mutes: a person lets alerts be silent until a time, with a reason."""

from __future__ import annotations

import datetime as dt
import glob
from collections.abc import Sequence

from sqlalchemy import Connection, Row, select, update

from services.core.ledger.alert_schema import alerts, mutes
from services.core.ledger.alert_words import NAME_LENGTH, fits
from services.core.ledger.alerts import note, open_alerts
from services.core.ledger.rows import upsert


def mute(conn: Connection, pattern: str, until: float, now: float, by: str, reason: str) -> list[str]:
    """Tell nobody of alerts whose name fits until a time (seconds since 1970); the open ones that it silences."""
    pattern = _meant(conn, pattern)
    row = {"pattern": pattern, "until": until, "by": by[:64], "reason": reason, "created_at": now}
    upsert(conn, mutes, row)
    words = f"until {dt.datetime.fromtimestamp(until, tz=dt.UTC):%Y-%m-%dT%H:%MZ}: {reason}"
    return _note(conn, pattern, "muted", now, by, words)


def unmute(conn: Connection, pattern: str, now: float, by: str, reason: str | None = None) -> bool:
    """End a mute now: what is still open is told; False when there is no such mute in force."""
    known = _meant(conn, pattern)
    mine = mutes.c.pattern.in_((known, pattern[:NAME_LENGTH])) & (mutes.c.until > now)
    if not conn.execute(update(mutes).where(mine).values(until=now)).rowcount:
        return False
    _note(conn, known, "unmuted", now, by, reason)
    return True


def mutes_in_force(conn: Connection, now: float) -> Sequence[Row]:
    """Mutes that hold, the one that ends first at the top."""
    return conn.execute(select(mutes).where(mutes.c.until > now).order_by(mutes.c.until, mutes.c.pattern)).all()


def _meant(conn: Connection, pattern: str) -> str:
    """A pattern, or one that fits nothing but the alert whose very name was given: names may hold `[` and `*`."""
    is_name = conn.execute(select(alerts.c.alert).where(alerts.c.alert == pattern)).first() is not None
    exact = glob.escape(pattern)
    return exact if is_name and len(exact) <= NAME_LENGTH else pattern[:NAME_LENGTH]


def _note(conn: Connection, pattern: str, to: str, now: float, by: str, reason: str | None) -> list[str]:
    """In the audit of the pattern, and of every open alert that it fits."""
    fitting = [row.alert for row in open_alerts(conn) if fits(row.alert, pattern)]
    for name in dict.fromkeys([pattern, *fitting]):
        note(conn, name, to, now, by=by, reason=reason)
    return fitting
