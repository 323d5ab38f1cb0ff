"""A source in a thread of its own, so that one that hangs (a network disk) stops no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.core.daemon import Backoff
from services.core.errors import ServiceError
from services.core.log import get_logger
from services.housekeeping.sources.base import Batch, Source

_LONGEST_PAUSE_S: Final = 60.0
_SLOW_S: Final = 0.2


@dataclass(frozen=True)
class Pace:
    """How the loop waits for runners: `done` is set when a look has ended, `wake` ends the loop's pause."""

    done: threading.Event
    wake: Callable[[], None]


class Runner:
    """Polls a source when it is asked to, and keeps its batch until it is committed.

    After an error the source is made anew from its stored positions (`make`), because nobody knows how far it came.

    Attributes
    ----------
    trouble : str
        Why the source does not answer; empty when it does.
    away_since : float or None
        Since when (monotonic seconds) it has not answered.
    seconds : float
        What the last look took.
    read_up : bool
        The last look found no more than it took: the source has been read to where it is.
    """

    def __init__(self, name: str, make: Callable[[Callable[[], None]], Source], poll_s: float, pace: Pace) -> None:
        self.name = name
        self.trouble = ""
        self.away_since: float | None = None
        self.seconds = 0.0
        self.read_up = False
        self._make = make
        self._poll_s = poll_s
        self._pace = pace
        self._nudged = False
        self._source: Source | None = None
        self._batch: Batch | None = None
        self._due = 0.0
        self._asked = threading.Event()
        self._busy_since: float | None = None
        self._stopped = False
        self._backoff = Backoff(min(poll_s, _LONGEST_PAUSE_S), _LONGEST_PAUSE_S)
        self._thread = threading.Thread(target=self._work, name=f"source-{name}", daemon=True)

    def ask(self, now: float) -> bool:
        """Begin a look if one is due or there is news; True when one is under way."""
        if self.busy:
            return True
        if self._batch is not None or now < self.due:
            return False
        if self._source is None and not self._made(now):
            return False
        if self._thread.ident is None:
            self._thread.start()
        self._nudged = False
        self._busy_since = now
        self._asked.set()
        return True

    def _made(self, now: float) -> bool:
        """Whether there is a source now: one that cannot be made (its stored positions are damaged) stops no other."""
        try:
            self._source = self._make(self.nudge)
        except Exception as error:  # noqa: BLE001 as in `_look`
            self._busy_since = now
            self._failed(None, error)
            return False
        return True

    def nudge(self) -> None:
        """There is news (a push, a message) that need not wait for the next look."""
        self._nudged = True
        self._pace.wake()

    @property
    def due(self) -> float:
        """When the next look is due, monotonic seconds."""
        return 0.0 if self._nudged and not self.trouble else self._due

    @property
    def busy(self) -> bool:
        """Whether a look is under way."""
        return self._busy_since is not None

    def take(self) -> Batch | None:
        """What the last look gave; the same again until `committed`."""
        return None if self.busy else self._batch

    def committed(self) -> None:
        """The batch is safe."""
        batch, self._batch = self._batch, None
        if batch is not None and self._source is not None:
            self._source.committed()
            if batch.more:
                self._due = 0.0

    def away_s(self, now: float) -> float:
        """For how long it has not answered: it said so, or it hangs; 0 when it answers."""
        since = self.away_since if self.away_since is not None else self._busy_since
        return 0.0 if since is None else now - since

    def stop(self, wait_s: float) -> None:
        """End the thread and close the source; one that hangs is left behind."""
        self._stopped = True
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join(wait_s)
        if self._source is not None and not self._thread.is_alive():
            self._source.close()

    def _work(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._stopped:
                return
            self._look()
            self._pace.done.set()
            if self.seconds > _SLOW_S:
                self._pace.wake()

    def _look(self) -> None:
        source = self._source
        assert source is not None
        begun = time.monotonic()
        try:
            batch = source.poll(time.time_ns())
        except Exception as error:  # noqa: BLE001 whatever it is, the other sources go on, and it is said
            self._failed(source, error)
            return
        now = time.monotonic()
        self.seconds = now - begun
        self.read_up = not batch.more
        if batch.trouble:
            self._say(batch.trouble)
            self.trouble = batch.trouble
            self.away_since = begun if self.away_since is None else self.away_since
        else:
            self.trouble, self.away_since = "", None
        self._backoff.reset()
        self._due = now if batch.more and batch.empty else begun + self._poll_s
        self._batch = None if batch.empty else batch
        self._busy_since = None

    def _say(self, reason: str, *, known: bool = True, other: bool = False) -> None:
        if not self.trouble or not known or other:
            log = get_logger().bind(source=self.name)
            (log.warning if known else log.exception)("a source does not answer", reason=reason)

    def _failed(self, source: Source | None, error: Exception) -> None:
        known = isinstance(error, ServiceError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        now = time.monotonic()
        self.seconds = 0.0
        self._say(reason, known=known, other=reason != self.trouble)  # a connection that broke, and then why
        if self.away_since is None:
            self.away_since = self._busy_since
        self.trouble = reason
        self._due = now + self._backoff.next_s()
        if source is not None:
            source.close()
        self._source = None
        self._busy_since = None
