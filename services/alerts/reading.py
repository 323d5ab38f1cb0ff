"""From the ledger to what the policy decides from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select

from services.alerts.grouping import PACE_WINDOW_S
from services.alerts.policy import RECENT_S
from services.alerts.situation import Condition, Mute, Situation, Telling
from services.core.alert_settings import AlertSettings
from services.core.ledger.alert_schema import alerts, mutes, notifications, tellings

_AT_ONCE: Final = 500  # databases limit the values of one question


def read_situation(conn: Connection, settings: AlertSettings, now: float) -> Situation:
    """Open alerts and those that are over since a day, what was told of their episodes, and mutes."""
    recent = now - RECENT_S
    flapped = alerts.c.flapping.is_not(None) & (alerts.c.updated_at > recent - settings.flap_window_s)
    living = or_(alerts.c.open, alerts.c.resolved_at > recent, flapped)
    conditions = tuple(condition_of(row) for row in conn.execute(select(alerts).where(living).order_by("alert")))
    return Situation(
        now=now,
        conditions=conditions,
        tellings=_told(conn, [condition.alert for condition in conditions], now),
        mutes=tuple(
            Mute(row.pattern, row.created_at, row.until)
            for row in conn.execute(select(mutes).where(mutes.c.until > recent - RECENT_S))
        ),
    )


def _told(conn: Connection, names: Sequence[str], now: float) -> tuple[Telling, ...]:
    """What was told of the episodes that these alerts are in, and whatever was told of late.

    Asked for by name, in parts: years of old alerts and messages cost nothing.
    """
    told = select(tellings, notifications.c.state)
    told = told.outerjoin(notifications, notifications.c.key == tellings.c.key)
    rows = list(conn.execute(told.where(tellings.c.at > now - PACE_WINDOW_S)))
    lasting = told.join(alerts, alerts.c.alert == tellings.c.alert)
    lasting = lasting.where(tellings.c.episode.in_((alerts.c.episode, alerts.c.flapping)))
    for start in range(0, len(names), _AT_ONCE):
        rows += conn.execute(lasting.where(tellings.c.alert.in_(names[start : start + _AT_ONCE])))
    return tuple({(row.alert, row.episode, row.step, row.person, row.kind): _telling(row) for row in rows}.values())


def condition_of(row: Row) -> Condition:
    """A row of `alerts`."""
    return Condition(
        alert=row.alert,
        severity=row.severity,
        message=row.message,
        open=row.open,
        raised_at=row.raised_at,
        episode=row.episode,
        raises=tuple(row.raises or (row.raised_at,)),
        flapping=row.flapping,
        acked_at=row.acked_at,
        acked_by=row.acked_by,
        resolved_at=row.resolved_at,
        details=row.details or {},
    )


def _telling(row: Row) -> Telling:
    return Telling(
        row.alert, row.episode, row.step, row.person, row.kind, row.severity, row.at, failed=row.state == "failed"
    )


def alerts_named(conn: Connection, names: list[str]) -> Mapping[str, Any]:
    """Rows of alerts by name; asked for in parts, as databases limit the values of one question."""
    found: dict[str, Any] = {}
    for start in range(0, len(names), _AT_ONCE):
        query = select(alerts).where(alerts.c.alert.in_(names[start : start + _AT_ONCE]))
        found |= {row.alert: row for row in conn.execute(query)}
    return found
