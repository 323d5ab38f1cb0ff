"""Ledgers that are up to date from the start: migrations run once for all, and what they make is copied."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import psycopg

from services.core.ledger.engine import open_ledger
from services.core.settings import LedgerSettings

_TEMPLATE = "nightferry_template"


@functools.cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite"
        open_ledger(LedgerSettings(url=f"sqlite:///{path}")).close()
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        return path.read_bytes()


def lay_sqlite(path: Path) -> str:
    """An empty ledger in a file; its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(_sqlite_file())
    return f"sqlite:///{path}"


def lay_postgres(server: str, name: str) -> str:
    """An empty ledger in a database of the server (its address, without a database); its address."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone() is None:
            conn.execute(f"CREATE DATABASE {_TEMPLATE}")
            open_ledger(LedgerSettings(url=f"{server}/{_TEMPLATE}")).close()
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    return f"{server}/{name}"
