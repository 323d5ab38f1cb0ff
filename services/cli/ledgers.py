"""Opening a host's ledger for a verb, and only one that is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.core.ledger.engine import Ledger
    from services.core.settings import Settings


@contextmanager
def existing_ledger(config: Path) -> Iterator[tuple[Settings, Ledger]]:
    """Settings of a host and its ledger, closed at the end.

    Raises
    ------
    BadSettings
        The settings file is wrong.
    LedgerUnreachable
        The database does not answer, or there is none yet: a verb that asks must not make an empty one.
    """
    from sqlalchemy import make_url

    from services.core.errors import LedgerUnreachable
    from services.core.ledger.engine import open_ledger
    from services.core.log import set_up_logging
    from services.core.settings import LogSettings, load_settings

    set_up_logging(LogSettings(level="warning", format="console"))  # a verb speaks for itself; its moves are on record
    settings = load_settings(config)
    database = make_url(settings.ledger.url)
    if database.drivername.startswith("sqlite") and not Path(str(database.database)).exists():
        raise LedgerUnreachable(f"there is no ledger at {database.database} yet: no daemon has run with this file")
    ledger = open_ledger(settings.ledger)
    try:
        yield settings, ledger
    finally:
        ledger.close()
