"""The metrics of alerts: one point for every step of the audit, the number of open ones, every message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from services.alerts.delivery import Outcome
from services.alerts.reading import alerts_named
from services.core.ledger.alert_schema import tellings
from services.core.ledger.alert_words import fits
from services.core.ledger.alerts import open_alerts
from services.core.ledger.mutes import mutes_in_force
from services.core.ledger.schema import events
from services.core.metrics.spool import Point

_AT_ONCE: Final = 2000


def event_before(conn: Connection, at: float) -> int:
    """The number of the last event in the audit before a time; 0 for none."""
    query = select(events.c.id).where(events.c.at < at).order_by(events.c.id.desc()).limit(1)
    return int(conn.execute(query).scalar_one_or_none() or 0)


def event_points(conn: Connection, after: int) -> tuple[list[Point], int]:
    """Points of the steps in the audit since event `after`, and the last event that was looked at.

    The same event is the same point whoever writes it, and however often; two of one moment (an alert that is escalated
    to two people) are two points, told apart by the nanoseconds that stand for their number.
    """
    query = select(events).where((events.c.id > after) & (events.c.subject == "alert")).order_by(events.c.id)
    rows = conn.execute(query.limit(_AT_ONCE)).all()
    known = alerts_named(conn, sorted({row.name for row in rows}))
    points = []
    for row in rows:
        alert = known.get(row.name)
        fields: dict[str, float | int | bool | str] = {
            "title": f"{row.to_state}: {row.name}",
            "text": row.reason or "",
            "severity": alert.severity if alert is not None else 0,
            "episode": alert.episode if alert is not None else 0,
        }
        raised_at = _raised_at(conn, row.name, row.id)
        if raised_at is not None:
            fields["open_s"] = row.at - raised_at
        points.append(Point("alert", fields, _tags(row.name, row.to_state), _event_ns(row.at, row.id)))
    return points, rows[-1].id if rows else after


def _event_ns(at: float, number: int) -> int:
    return round(at * 1e6) * 1000 + number % 1000


def _raised_at(conn: Connection, alert: str, event: int) -> float | None:
    """When the alert was raised to which an event of the audit belongs, seconds since 1970; None for a lost one."""
    raised = (events.c.subject == "alert") & (events.c.name == alert) & (events.c.to_state == "raised")
    at: float | None = conn.execute(select(func.max(events.c.at)).where(raised & (events.c.id <= event))).scalar_one()
    return at


def repeat_points(conn: Connection, since: float, until: float) -> list[Point]:
    """Points of repeated messages, which are no step of the audit; times are seconds since 1970."""
    told = tellings.c.step.like("repeat-%") & (tellings.c.at > since) & (tellings.c.at <= until)
    columns = (tellings.c.alert, tellings.c.episode, func.max(tellings.c.severity), func.max(tellings.c.at))
    query = select(*columns).where(told).group_by(tellings.c.alert, tellings.c.episode, tellings.c.step)
    return [
        Point(
            "alert",
            {"title": f"repeat: {name}", "text": "still open", "severity": severity, "episode": episode},
            _tags(name, "repeat"),
            round(at * 1e9),
        )
        for name, episode, severity, at in conn.execute(query)
    ]


def open_point(conn: Connection, now: float) -> Point:
    """How many alerts are open, of which severity, acknowledged, muted."""
    rows = open_alerts(conn)
    patterns = [row.pattern for row in mutes_in_force(conn, now)]
    fields: dict[str, float | int | bool | str] = {
        "total": len(rows),
        "severity1": sum(row.severity < 2 for row in rows),
        "severity2": sum(row.severity >= 2 for row in rows),
        "acked": sum(row.acked_at is not None for row in rows),
        "muted": sum(any(fits(row.alert, pattern) for pattern in patterns) for row in rows),
    }
    return Point("alerts_open", fields, {}, round(now * 1e9))


def notification_points(outcomes: Sequence[Outcome], now: float) -> Iterator[Point]:
    """One point for every channel that was asked to take a message."""
    for outcome in outcomes:
        for index, item in enumerate(outcome.tries):
            yield Point(
                "notification",
                {
                    "sent": int(item.answer == "sent"),
                    "seconds": item.seconds,
                    "attempts": outcome.job.attempt,
                    "reason": item.reason[:500],
                },
                {"channel": item.channel, "kind": outcome.job.kind, "person": outcome.job.person},
                round(now * 1e9) + index,
            )


def _tags(alert: str, what: str) -> dict[str, str]:
    return {"alert": alert, "about": alert.split(":", 1)[0], "what": what}
