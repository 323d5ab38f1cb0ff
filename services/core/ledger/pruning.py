"""What the ledger forgets of alerts, so that years of messages take little room; a little at a time.

Never forgotten: alerts, their episodes, and the audit; what waits or is being sent; what was told of an episode that
is not over, as nobody is to be told a step twice.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, delete, func, or_, select, tuple_, update

from services.core.ledger.alert_schema import alerts, mutes, notifications, tellings
from services.core.ledger.notifications import DONE, lock_decisions

# How long what a message said (most of it the trend of an hour) is kept after it went out.
BODY_S: Final = 30 * 86_400.0
AT_ONCE: Final = 200  # rows of each table in one transaction


def prune(conn: Connection, now: float, keep_s: float, most: int = AT_ONCE) -> int:
    """Forget some of what is old; how many rows were changed: 0 when there is nothing left to forget.

    Parameters
    ----------
    keep_s : float
        How long the record of messages, of what they told, and of ended mutes is kept, in seconds.
    most : int
        Rows of each table that are touched at most: others write to the ledger as well.
    """
    lock_decisions(conn)
    before, bodies_before = now - keep_s, now - min(BODY_S, keep_s)
    old_mutes = select(mutes.c.pattern).where(mutes.c.until < before).limit(most)
    changed = conn.execute(delete(mutes).where(mutes.c.pattern.in_(old_mutes))).rowcount
    changed += _forget_tellings(conn, before, most)
    changed += _forget_messages(conn, before, most)
    changed += _empty_bodies(conn, bodies_before, most)
    return changed + _drop_trends(conn, bodies_before, most)


def _forget_tellings(conn: Connection, before: float, most: int) -> int:
    lasts = or_(alerts.c.open, alerts.c.flapping.is_not(None), alerts.c.resolved_at >= before)
    this_episode = tellings.c.episode >= func.coalesce(alerts.c.flapping, alerts.c.episode)
    needed = select(alerts.c.alert).where((alerts.c.alert == tellings.c.alert) & lasts & this_episode).exists()
    message = select(notifications.c.key).where((notifications.c.key == tellings.c.key) & ~_done())
    key = tuple(tellings.primary_key.columns)
    old = select(*key).where((tellings.c.at < before) & ~needed & ~message.exists())
    old = old.order_by(tellings.c.at).limit(most)
    return conn.execute(delete(tellings).where(tuple_(*key).in_(old))).rowcount


def _forget_messages(conn: Connection, before: float, most: int) -> int:
    """Those of which nothing that they told is on record: `alerts list` says who was told of an open alert."""
    told = select(tellings.c.key).where(tellings.c.key == notifications.c.key).exists()
    old = select(notifications.c.key).where(_done_before(before) & ~told).limit(most)
    return conn.execute(delete(notifications).where(notifications.c.key.in_(old))).rowcount


def _empty_bodies(conn: Connection, before: float, most: int) -> int:
    full = cast(notifications.c.body, Text) != "{}"
    old = select(notifications.c.key).where(_done_before(before) & full).limit(most)
    return conn.execute(update(notifications).where(notifications.c.key.in_(old)).values(body={})).rowcount


def _drop_trends(conn: Connection, before: float, most: int) -> int:
    """The last hour of alerts that are over; what else their details say stays."""
    over = and_(~alerts.c.open, alerts.c.flapping.is_(None), alerts.c.resolved_at < before)
    query = select(alerts.c.alert, alerts.c.details).where(over & cast(alerts.c.details, Text).like('%"trend": [%'))
    changed = 0
    for name, details in conn.execute(query.order_by(alerts.c.alert).limit(most)).all():
        less = {key: value for key, value in details.items() if key != "trend"}
        changed += conn.execute(update(alerts).where((alerts.c.alert == name) & over).values(details=less)).rowcount
    return changed


def _done() -> ColumnElement[bool]:
    return notifications.c.state.in_(DONE)


def _done_before(before: float) -> ColumnElement[bool]:
    return _done() & (notifications.c.updated_at < before)
