"""The one table of allowed moves, and the one function that makes them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Table, insert, select, update

from services.core.errors import IllegalMove
from services.core.ledger.schema import bundles, events, frames, tasks
from services.core.log import get_logger

ALLOWED: Final[dict[str, dict[str, frozenset[str]]]] = {
    "frame": {
        "seen": frozenset({"packed", "quarantined", "unrouted"}),
        "packed": frozenset({"shipped", "seen", "quarantined"}),
        "shipped": frozenset({"seen"}),
        "unrouted": frozenset({"seen"}),  # the filter of every route leaves it out
        "arrived": frozenset({"checked", "quarantined"}),
        # Back to `arrived`: the lossless twin of a quick-look frame has come, and everything is done again with it.
        "checked": frozenset({"reduced", "quarantined", "arrived"}),
        "reduced": frozenset({"checked", "arrived"}),
        "quarantined": frozenset({"seen", "arrived"}),
    },
    "bundle": {
        "packed": frozenset({"sent", "accepted", "refused", "held"}),
        "sent": frozenset({"packed", "accepted", "refused"}),
        "held": frozenset({"packed", "accepted", "refused"}),  # its receipt may come after all
        "refused": frozenset({"packed"}),
        "accepted": frozenset(),
    },
    "task": {
        "waiting": frozenset({"ready"}),
        "ready": frozenset({"queued", "running", "waiting"}),
        "queued": frozenset({"running", "ready"}),
        "running": frozenset({"done", "failed", "ready"}),
        "failed": frozenset({"ready"}),
        # Back to `waiting`: a master of its product was withdrawn, and nothing may take its place.
        "done": frozenset({"ready", "waiting"}),
    },
}
_TABLES: Final[dict[str, tuple[Table, str]]] = {
    "frame": (frames, "sha256"),
    "bundle": (bundles, "bundle"),
    "task": (tasks, "task"),
}


def advance(
    conn: Connection, subject: str, name: str, to: str, *, now: float, reason: str | None = None, **values: Any
) -> None:
    """Move one frame, bundle or task to a state, write the event, log from, to and how long it had been there.

    Parameters
    ----------
    now : float
        Seconds since 1970 UTC.
    values
        Other columns that change with the move.

    Raises
    ------
    IllegalMove
        `name` is unknown, or `ALLOWED` does not hold the move.
    """
    table, key = _TABLES[subject]
    row = conn.execute(
        select(table.c.state, table.c.updated_at).where(table.c[key] == name).with_for_update()
    ).one_or_none()
    if row is None:
        raise IllegalMove(f"{subject} {name} is not in the ledger")
    if to not in ALLOWED[subject][row.state]:
        raise IllegalMove(f"{subject} {name} cannot go from {row.state} to {to}")
    conn.execute(update(table).where(table.c[key] == name).values(state=to, updated_at=now, reason=reason, **values))
    seconds = round(now - row.updated_at, 3)
    record(conn, subject, name, to, now=now, came_from=row.state, seconds=seconds, reason=reason)


def record(
    conn: Connection,
    subject: str,
    name: str,
    to: str,
    *,
    now: float,
    came_from: str | None = None,
    seconds: float | None = None,
    reason: str | None = None,
) -> None:
    """Append one event to the audit, and say it in the log."""
    conn.execute(
        insert(events).values(
            at=now, subject=subject, name=name, from_state=came_from, to_state=to, seconds=seconds, reason=reason
        )
    )
    get_logger().info("moved", subject=subject, name=name, came_from=came_from, to=to, seconds=seconds, reason=reason)
