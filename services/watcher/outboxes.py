"""The outboxes of all routes, as the watcher's loop sees them: one to wake, one to wait for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from services.core.ledger.engine import Ledger
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from services.routes.book import RouteBook
from services.watcher.outbox import Outbox


class Outboxes:
    """One per route, each with a thread of its own.

    Parameters
    ----------
    on_forgotten
        Called, in an outbox's thread, when there is something for `forgotten` to give.
    """

    def __init__(
        self, settings: Settings, book: RouteBook, ledger: Ledger, spool: Spool, on_forgotten: Callable[[], None]
    ) -> None:
        self._on_forgotten = on_forgotten
        self._forgotten: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._all = [Outbox(settings, name, book, ledger, spool, self._forget) for name in settings.routes]

    def recover(self) -> None:
        """Put right what a crash has left."""
        for outbox in self._all:
            outbox.recover()

    def start(self, stop: threading.Event) -> None:
        """Start packing."""
        for outbox in self._all:
            outbox.start(stop)

    def wake(self) -> None:
        """There may be something to pack."""
        for outbox in self._all:
            outbox.wake()

    def alive(self) -> bool:
        """False when a thread has ended."""
        return all(outbox.alive() for outbox in self._all)

    def join(self, deadline: float) -> None:
        """Wait for the threads, until a time of the monotonic clock."""
        for outbox in self._all:
            outbox.join(max(0.0, deadline - time.monotonic()))

    def forgotten(self) -> Iterator[str]:
        """Files that the next walk shall look at again."""
        while not self._forgotten.empty():
            yield self._forgotten.get()

    def _forget(self, path: str) -> None:
        self._forgotten.put(path)
        self._on_forgotten()
