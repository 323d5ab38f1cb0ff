"""How a batch is made safe: metrics, then alerts, then positions; each step may be done again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from services.core.errors import ServiceError
from services.core.ledger.engine import Ledger
from services.core.metrics.blocks import blocks_of
from services.core.metrics.spool import Spool
from services.housekeeping.alerting import AlertClerk
from services.housekeeping.limits.transition import Transition
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import Batch
from services.housekeeping.standing import Limits
from services.housekeeping.store import Standing, Store


@dataclass
class Round:
    """Everything that one round of the daemon has to keep; `done` holds the names of the steps that are done."""

    now: float
    batches: Mapping[str, Batch]
    transitions: Sequence[Transition] = ()
    lines: Sequence[str] = ()
    standings: Sequence[Standing] = ()
    limits: Mapping[tuple[str, str], Limits] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    @property
    def samples(self) -> list[Samples]:
        """Rows of all sources."""
        return [one for batch in self.batches.values() for one in batch.samples]


class Keeper:
    """Does the steps of a round in their order.

    A point that is written again overwrites itself in InfluxDB, a step of an alert that is in the ledger is not
    repeated (`AlertClerk`), and the positions are stored when the rest is: so whatever was not kept is read again.
    """

    def __init__(self, ledger: Ledger, spool: Spool, store: Store, clerk: AlertClerk) -> None:
        self._ledger = ledger
        self._spool = spool
        self._store = store
        self._clerk = clerk

    def keep(self, work: Round) -> None:
        """Keep a round; called again after an error, it does what is not done yet.

        A spool that cannot be written (disk full) must not keep alerts from the ledger, nor the reverse.

        Raises
        ------
        SpoolUnwritable, LedgerUnreachable, StoreUnreachable
            A step could not be done (disk full, PostgreSQL down); the positions are not stored.
        """
        failed: ServiceError | None = None
        for name, step in (("points", self.write_points), ("alerts", self.write_alerts)):
            if name not in work.done:
                try:
                    step(work)
                    work.done.add(name)
                except ServiceError as error:
                    failed = failed or error
        if failed is not None:
            raise failed
        self.store_positions(work)

    def write_points(self, work: Round) -> None:
        """Into the spool, and to the disk: a power cut must not leave positions without their points."""
        if work.lines:
            self._spool.append(blocks_of(work.lines))
            sync(self._spool.path)

    def write_alerts(self, work: Round) -> None:
        """Into the ledger, in one transaction."""
        if work.transitions:
            with self._ledger.begin() as conn:
                self._clerk.counts = self._write(conn, work)
            work.states["alerts"] = self._clerk.counts

    def _write(self, conn: Connection, work: Round) -> dict[str, int]:
        return self._clerk.write(conn, work.transitions, work.limits, work.samples, work.now)

    def store_positions(self, work: Round) -> None:
        """Positions, state of the limits, last values and history, in one transaction."""
        positions = {name: batch.positions for name, batch in work.batches.items() if batch.positions}
        bad = {name: batch.bad for name, batch in work.batches.items() if batch.bad}
        self._store.commit(work.samples, positions, work.states, work.standings, bad, work.now)


def sync(database: Path) -> None:
    """Have what SQLite has committed on the disk: its log, which a commit at `synchronous=NORMAL` leaves in memory."""
    for path in (database.with_name(f"{database.name}-wal"), database):
        if path.exists():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
