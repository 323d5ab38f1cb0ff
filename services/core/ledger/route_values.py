"""What is said about a route while the daemons run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select

from services.core.ledger.rows import upsert
from services.core.ledger.schema import route_values
from services.core.ledger.states import record


def set_value(conn: Connection, route: str, key: str, value: Any, now: float) -> None:
    """Set a value of a route, in place of the old one."""
    upsert(conn, route_values, {"route": route, "key": key, "value": value, "updated_at": now})
    record(conn, "route", route, "set", now=now, reason=f"{key}={value}")


def drop_values(conn: Connection, route: str, keys: list[str] | None, now: float) -> int:
    """Forget values of a route (all of them without `keys`): its settings file holds again. How many there were."""
    mine = route_values.c.route == route
    if keys is not None:
        mine = mine & route_values.c.key.in_(keys)
    dropped = conn.execute(delete(route_values).where(mine)).rowcount
    if dropped:
        record(conn, "route", route, "unset", now=now, reason=", ".join(keys or ["everything"]))
    return dropped


def values(conn: Connection) -> dict[str, dict[str, Any]]:
    """Every value of every route."""
    found: dict[str, dict[str, Any]] = {}
    for row in conn.execute(select(route_values)):
        found.setdefault(row.route, {})[row.key] = row.value
    return found
