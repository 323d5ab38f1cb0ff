"""A task's lease: kept while the task is worked on, and asked for before anything that others see is touched."""

from __future__ import annotations

import threading

from sqlalchemy import Connection

from services.core.errors import LeaseLost, LedgerUnreachable
from services.core.ledger import centre
from services.core.ledger.engine import Ledger, now
from services.core.log import get_logger


class Lease:
    """The lease of one task; inside of `with` it is renewed from a thread of its own.

    The thread stands still where the process does (a signal, a host put to sleep, a hung file system may hold it too),
    and the clock may be set meanwhile. So that the lease still holds is no matter of time: `hold` asks the ledger.
    """

    def __init__(self, ledger: Ledger, task: str, worker: str, lease_s: float) -> None:
        self._ledger = ledger
        self._task = task
        self._worker = worker
        self._lease_s = lease_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def hold(self) -> None:
        """Renew it for its whole length.

        Raises
        ------
        LeaseLost
            The task was given to another worker, or settled by one.
        LedgerUnreachable
            Nobody knows.
        """
        with self._ledger.begin() as conn:
            self.hold_in(conn)

    def hold_in(self, conn: Connection) -> None:
        """`hold` in a transaction: until its end, nobody takes the task away."""
        if not centre.renew_lease(conn, self._task, self._worker, now() + self._lease_s):
            raise LeaseLost(f"the lease of {self._task} was lost: another worker has this task, its word counts")

    def _renew(self) -> None:
        while not self._end.wait(self._lease_s / 3):
            try:
                self.hold()
            except LeaseLost:
                return  # the task finds out by itself, before it publishes or settles anything
            except LedgerUnreachable as error:
                get_logger().warning("lease not renewed", reason=str(error))

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join(timeout=5)
