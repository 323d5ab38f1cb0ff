"""The queue of messages in the ledger: claimed by compare-and-set with a lease, settled by whoever holds the lease."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, or_, select, text, update

from services.core.ledger.alert_schema import notifications, tellings
from services.core.ledger.rows import insert_new

DONE: Final = ("sent", "failed", "dropped")  # states in which nothing happens to a message any more
_DECIDING: Final = 7_264_104  # an arbitrary number of our own for pg_advisory_xact_lock

_ORPHANED_S: Final = 600.0  # after this time anybody may say that a person cannot be reached


def lock_decisions(conn: Connection) -> None:
    """One decides at a time until this transaction ends; on SQLite its write lock says so already."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _DECIDING})


def make(
    conn: Connection, row: Mapping[str, Any], told: Sequence[Mapping[str, Any]], now: float, state: str = "waiting"
) -> bool:
    """Put one message into the queue with the steps that it tells; False when they were told before.

    `row` has key, what, person, kind, body; each of `told` alert, episode, step and severity.
    """
    same = {"person": row["person"], "kind": row["kind"], "key": row["key"], "at": now}
    if told and not insert_new(conn, tellings, [{**item, **same} for item in told]):
        return False
    fields = {"state": state, "attempts": 0, "not_before": now, "created_at": now, "updated_at": now}
    return bool(insert_new(conn, notifications, [{**fields, **row}]))


def claim(
    conn: Connection, kind: str, sender: str, now: float, lease_s: float, limit: int, people: Collection[str]
) -> Sequence[Row]:
    """Messages of a kind to send now, the oldest first; each is the caller's own for `lease_s` seconds.

    A person gets one after the other: none overtakes the one before it. A message whose lease ran out is claimed again:
    its sender died, and may or may not have sent it. `people` are those whom the caller can reach. Messages to others
    are another host's, which may have newer settings, and the caller's when nobody has taken them for a while.
    """
    table = notifications
    ours = table.c.person.in_(people) | (table.c.created_at < now - _ORPHANED_S)
    busy = select(table.c.person).where((table.c.kind == kind) & (table.c.state == "sending"))
    busy = busy.where(table.c.lease_until >= now)
    due = or_(
        and_(table.c.state == "waiting", table.c.not_before <= now),
        and_(table.c.state == "sending", table.c.lease_until < now),
    )
    query = select(table.c.key, table.c.person).where(due & ours & (table.c.kind == kind) & table.c.person.not_in(busy))
    first: dict[str, str] = {}
    for key, person in conn.execute(query.order_by(table.c.created_at, table.c.key)):
        first.setdefault(person, key)
    taken = {"state": "sending", "lease_until": now + lease_s, "sender": sender, "updated_at": now}
    mine: list[Row] = []
    for key in list(first.values())[:limit]:
        change = update(table).where((table.c.key == key) & due).values(attempts=table.c.attempts + 1, **taken)
        mine += conn.execute(change.returning(*table.c)).all()
    return mine


def give_back(conn: Connection, sender: str, now: float) -> int:
    """A sender begins anew: what it had claimed before it died is to be claimed again; how many messages."""
    mine = (notifications.c.state == "sending") & (notifications.c.sender == sender)
    return conn.execute(update(notifications).where(mine).values(lease_until=now - 1.0)).rowcount


def settle(conn: Connection, key: str, attempt: int, now: float, **values: Any) -> bool:
    """Write down what became of a claimed message; False when another has claimed it since."""
    mine = (notifications.c.key == key) & (notifications.c.state == "sending") & (notifications.c.attempts == attempt)
    changed = conn.execute(update(notifications).where(mine).values(updated_at=now, lease_until=None, **values))
    return bool(changed.rowcount)


def waiting(conn: Connection) -> Sequence[Row]:
    """Messages that wait, the oldest first."""
    query = select(notifications).where(notifications.c.state == "waiting")
    return conn.execute(query.order_by(notifications.c.created_at, notifications.c.key)).all()


def hurry(conn: Connection, latest: float, now: float) -> None:
    """Let nothing wait beyond a time: what does was written before the clock was set back."""
    late = (notifications.c.state == "waiting") & (notifications.c.not_before > latest)
    conn.execute(update(notifications).where(late).values(not_before=now))


def overdue(conn: Connection, now: float) -> bool:
    """Whether a message's sender has not been heard of for the time of its lease."""
    late = (notifications.c.state == "sending") & (notifications.c.lease_until < now)
    return conn.execute(select(notifications.c.key).where(late).limit(1)).first() is not None


def merge(conn: Connection, into: Mapping[str, Any], keys: Sequence[str], now: float) -> bool:
    """Let one waiting message take the place of several; False when one of them does not wait any more."""
    theirs = notifications.c.key.in_(keys) & (notifications.c.state == "waiting")
    if conn.execute(select(func.count()).select_from(notifications).where(theirs)).scalar_one() != len(keys):
        return False
    said = {"state": "dropped", "reason": f"told in {into['key']}", "updated_at": now}
    conn.execute(update(notifications).where(theirs).values(**said))
    conn.execute(update(tellings).where(tellings.c.key.in_(keys)).values(key=into["key"]))
    return bool(insert_new(conn, notifications, [{**into, "state": "waiting", "updated_at": now}]))


def told_of(conn: Connection, alert: str) -> Sequence[Row]:
    """Messages about an alert, with the step that each tells, the oldest first."""
    columns = (tellings.c.episode, tellings.c.step, tellings.c.at, notifications)
    joined = tellings.join(notifications, notifications.c.key == tellings.c.key)
    query = select(*columns).select_from(joined).where(tellings.c.alert == alert)
    return conn.execute(query.order_by(tellings.c.at, notifications.c.key)).all()
