"""Opening the ledger: SQLite (WAL, full sync, immediate transactions) or PostgreSQL; brings the schema up to date."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from services.core.errors import LedgerUnreachable
from services.core.filesystem import is_network
from services.core.settings import LedgerSettings

HEAD: Final = "0004"  # the newest file in core/migrations/versions
READING: Final = "nightferry_reading"
# A server that went without a word (its host lost power, a firewall forgot us) is noticed in two minutes, not hours.
_KEEPALIVE: Final = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 90_000,
}
_MIGRATION_LOCK: Final = 7_264_103  # an arbitrary number of our own for pg_advisory_xact_lock


class Ledger:
    """An open ledger.

    `begin()` gives a connection inside one transaction, committed at the end or rolled back; `read()` one that only
    reads. On SQLite a reader waits for nobody and nobody waits for it, while writers take turns.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction.

        Raises
        ------
        LedgerUnreachable
            The database does not answer (PostgreSQL is down, the disk is full, the lock is held for too long).
        """
        with self._named_errors(), self.engine.begin() as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that sees one state of the ledger, and is rolled back; errors as of `begin`."""
        with self._named_errors(), self.engine.connect() as conn:
            yield conn.execution_options(**{READING: True})

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, DBAPIError) as error:
            if isinstance(error, OperationalError) or error.connection_invalidated:
                raise LedgerUnreachable(f"ledger: {_first_line(error)}") from error
            raise

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def open_ledger(settings: LedgerSettings) -> Ledger:
    """Open the ledger and bring its schema to this program's version.

    Raises
    ------
    LedgerUnreachable
        The database does not answer, lies on a network file system, or its schema is newer than this program.
    """
    url = make_url(settings.url)
    if url.drivername.startswith("sqlite"):
        engine = _sqlite(Path(str(url.database)))
    else:
        url = url.set(drivername="postgresql+psycopg")
        if settings.password is not None:
            url = url.set(password=settings.password.read())
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10, **_KEEPALIVE})
    ledger = Ledger(engine)
    try:
        if _version(engine) != HEAD:
            _migrate(engine)
    except (SQLAlchemyError, OSError) as error:
        ledger.close()
        raise LedgerUnreachable(f"ledger {engine.url}: {_first_line(error)}") from error
    except LedgerUnreachable:
        ledger.close()
        raise
    return ledger


def _sqlite(path: Path) -> Engine:
    if is_network(path):
        raise LedgerUnreachable(
            f"ledger {path} lies on a network file system, where SQLite loses locks: "
            "use a local disk, or PostgreSQL (ledger.url: postgresql://…)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(conn: Connection) -> None:
        if conn.get_execution_options().get(READING):
            conn.exec_driver_sql("BEGIN DEFERRED")
            conn.exec_driver_sql("PRAGMA query_only=ON")
            return
        conn.exec_driver_sql("PRAGMA query_only=OFF")
        # A deferred transaction that first reads and then writes fails at once when another wrote in between;
        # an immediate one waits for its turn.
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _version(engine: Engine) -> str | None:
    with engine.connect() as conn:
        if not engine.dialect.has_table(conn, "alembic_version"):
            return None
        return conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    with engine.begin() as conn:
        # Several daemons start at the same moment: one migrates, the others wait here and find nothing to do.
        if engine.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = conn
        try:
            command.upgrade(config, HEAD)
        except CommandError as error:
            raise LedgerUnreachable(f"ledger {engine.url}: its schema is not known to this program: {error}") from error


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]


def now() -> float:
    """Seconds since 1970 UTC, the ledger's clock."""
    return time.time()
