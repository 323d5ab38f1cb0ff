"""Alerts as `nightferry alerts` and other consoles show them: state, who was told, the history of one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from services.core.ledger.alert_schema import alerts, notifications, tellings
from services.core.ledger.alert_words import fits
from services.core.ledger.alerts import acknowledge, open_alerts
from services.core.ledger.mutes import mutes_in_force
from services.core.ledger.notifications import told_of
from services.core.ledger.schema import events


def account_of(
    conn: Connection, now: float, pattern: str = "*", everything: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Alerts whose name fits, the gravest and oldest first, and the mutes in force.

    Each alert has alert, about, severity, state (raised, acknowledged, muted, flapping, resolved), open, message,
    raised_at, resolved_at (ISO, UTC), episode, acknowledged_by, muted_until, told (people), value, limit, unit.
    """
    query = select(alerts).order_by(alerts.c.open.desc(), alerts.c.severity.desc(), alerts.c.raised_at, alerts.c.alert)
    rows = [
        row for row in conn.execute(query if everything else query.where(alerts.c.open)) if fits(row.alert, pattern)
    ]
    told = _told(conn, everything)
    mutes = mutes_in_force(conn, now)
    shown = [{"pattern": row.pattern, "until": _iso(row.until), "by": row.by, "reason": row.reason} for row in mutes]
    return [_account(row, mutes, told) for row in rows], shown


def one_account(conn: Connection, now: float, alert: str) -> dict[str, Any] | None:
    """One alert as in `account_of`; None when there is no such alert."""
    row = conn.execute(select(alerts).where(alerts.c.alert == alert)).one_or_none()
    return None if row is None else _account(row, mutes_in_force(conn, now), _told(conn, True, alert))


def acknowledge_all(
    conn: Connection, patterns: Sequence[str], now: float, by: str, reason: str | None
) -> tuple[list[str], list[str]]:
    """Acknowledge every open alert that one of the patterns fits: which were, and which had been before."""
    flapping = select(alerts.c.alert).where(alerts.c.flapping.is_not(None))
    names = [row.alert for row in open_alerts(conn)]
    names += [name for name in conn.execute(flapping).scalars() if name not in names]
    # The very name of an alert means that one only, whatever else `TEMP[1]` would fit as a pattern.
    chosen = [
        name for name in names if any(name == item if item in names else fnmatchcase(name, item) for item in patterns)
    ]
    done = [name for name in chosen if acknowledge(conn, name, now, by, reason)]
    return done, [name for name in chosen if name not in done]


def history_of(conn: Connection, alert: str) -> list[dict[str, Any]]:
    """Every step of an alert and every message about it, in order of time: at, step, text and what belongs to it."""
    query = select(events).where((events.c.subject == "alert") & (events.c.name == alert)).order_by(events.c.id)
    steps = [(row.at, _step(row)) for row in conn.execute(query)]
    steps += [(row.at, _message(row)) for row in told_of(conn, alert)]
    return [step for _, step in sorted(steps, key=lambda item: item[0])]


def steps_since(conn: Connection, pattern: str, after: float) -> list[dict[str, Any]]:
    """Steps of alerts in the audit after a time (seconds since 1970), in their order."""
    query = select(events).where((events.c.subject == "alert") & (events.c.at > after)).order_by(events.c.id)
    return [{"alert": row.name, **_step(row)} for row in conn.execute(query) if fits(row.name, pattern)]


def _told(conn: Connection, everything: bool, alert: str | None = None) -> dict[tuple[str, int], list[str]]:
    """People who were told of an episode, by any kind of channel that took the message."""
    columns = (tellings.c.alert, tellings.c.episode, tellings.c.person, tellings.c.at)
    query = (
        select(*columns)
        .join(alerts, (alerts.c.alert == tellings.c.alert))
        .join(notifications, notifications.c.key == tellings.c.key)
        .where(or_(tellings.c.episode == alerts.c.episode, tellings.c.episode == alerts.c.flapping))
        .where(notifications.c.state == "sent")
        .order_by(tellings.c.at)
    )
    query = query if everything else query.where(alerts.c.open)
    query = query if alert is None else query.where(tellings.c.alert == alert)
    found: dict[tuple[str, int], list[str]] = {}
    for name, episode, person, _ in conn.execute(query):
        people = found.setdefault((name, episode), [])
        if person not in people:
            people.append(person)
    return found


def _account(row: Row, mutes: Sequence[Row], told: Mapping[tuple[str, int], list[str]]) -> dict[str, Any]:
    muted = [mute for mute in mutes if fits(row.alert, mute.pattern)]
    state = "resolved" if not row.open else "raised"
    if row.open:
        state = "flapping" if row.flapping is not None else state
        state = "acknowledged" if row.acked_at is not None else state
        state = "muted" if muted else state
    details = row.details or {}
    return {
        "alert": row.alert,
        "about": row.alert.split(":", 1)[0],
        "severity": row.severity,
        "state": state,
        "open": bool(row.open),
        "message": row.message,
        "raised_at": _iso(row.raised_at),
        "resolved_at": _iso(row.resolved_at),
        "episode": row.episode,
        "acknowledged_by": row.acked_by if row.acked_at is not None else None,
        "muted_until": _iso(max(mute.until for mute in muted)) if muted else None,
        "told": told.get((row.alert, row.flapping or row.episode), []),
        **{key: details.get(key) for key in ("value", "limit", "unit")},
    }


def _step(row: Row) -> dict[str, Any]:
    return {"at": _iso(row.at), "step": row.to_state, "from": row.from_state, "text": row.reason or ""}


def _message(row: Row) -> dict[str, Any]:
    where = f" through {row.channel}" if row.channel else ""
    became = f"{row.state}{where} after {row.attempts} attempts" if row.attempts > 1 else f"{row.state}{where}"
    text = f"{row.kind} to {row.person}: {became}{': ' if row.reason else ''}{row.reason or ''}"
    return {"at": _iso(row.at), "step": f"told {row.step}", "text": text, "key": row.key, "state": row.state}


def _iso(at: float | None) -> str | None:
    return None if at is None else dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")
