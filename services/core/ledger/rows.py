"""Inserts that may be repeated: the same row twice is one row, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose primary key is not there yet; how many were new."""
    if not rows:
        return 0
    # What is returned is what was inserted; a row count is not defined on every driver.
    statement = _insert(conn, table).on_conflict_do_nothing().returning(next(iter(table.primary_key)))
    return sum(len(conn.execute(statement, dict(row)).all()) for row in rows)


def upsert(conn: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or replace the one with the same primary key."""
    statement = _insert(conn, table).values(dict(row))
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in row if name not in keys}
    conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=others))


def _insert(conn: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)
