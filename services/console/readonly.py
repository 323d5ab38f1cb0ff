"""A ledger that is looked at and never written: no migration, no lock that a daemon could wait for."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from services.core.errors import LedgerUnreachable
from services.core.ledger.engine import HEAD, Ledger
from services.core.settings import LedgerSettings

_PATIENCE_S = 2.0


def look_at_ledger(settings: LedgerSettings) -> Ledger:
    """Open a ledger for reading only. Every look is a connection of its own, so a daemon is never held up.

    Raises
    ------
    LedgerUnreachable
        There is none yet, it does not answer, or its schema is not this program's.
    """
    url = make_url(settings.url)
    if url.drivername.startswith("sqlite"):
        path = Path(str(url.database))
        if not path.exists():
            raise LedgerUnreachable(f"there is no ledger at {path} yet: no daemon has run with this file")
        engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
        event.listen(engine, "begin", _begin)
    else:
        url = url.set(drivername="postgresql+psycopg")
        if settings.password is not None:
            url = url.set(password=settings.password.read())
        options = "-c default_transaction_read_only=on -c statement_timeout=10000"
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5, "options": options})
    ledger = Ledger(engine)
    try:
        with engine.connect() as conn:
            known = engine.dialect.has_table(conn, "alembic_version")
            version = conn.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else None
    except SQLAlchemyError as error:
        ledger.close()
        raise LedgerUnreachable(f"ledger: {str(error).splitlines()[0]}") from error
    if version != HEAD:
        ledger.close()
        found = f"of schema {version}" if version else "empty"
        raise LedgerUnreachable(f"the ledger is {found}, this program knows {HEAD}: start a daemon of this version")
    return ledger


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection to an SQLite file that cannot write (`sqlite3.Error` when it cannot be read)."""
    # A file in WAL mode needs its -shm beside it. Who may not make that, can read the file when no daemon runs.
    alone = not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK)
    mode = "mode=ro&immutable=1" if alone else "mode=ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_PATIENCE_S, check_same_thread=False)


def _connect(path: Path) -> sqlite3.Connection:
    connection = open_for_reading(path)
    connection.isolation_level = None  # BEGIN is said below
    connection.execute(f"PRAGMA busy_timeout={int(_PATIENCE_S * 1000)}")
    return connection


def _begin(conn: Any) -> None:
    conn.exec_driver_sql("BEGIN DEFERRED")
