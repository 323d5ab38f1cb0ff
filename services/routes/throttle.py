"""A bandwidth limit that several connections share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_S = 0.25  # of the limit may go at once


class Throttle:
    """A token bucket; call it with the number of bytes before they go.

    Parameters
    ----------
    limit
        Asked each time: bytes per second, or None for no limit. It may change at any time.
    stop
        When set, nobody waits any more.
    """

    def __init__(self, limit: Callable[[], float | None], stop: threading.Event) -> None:
        self._limit = limit
        self._stop = stop
        self._lock = threading.Lock()
        self._free_at = 0.0

    def __call__(self, count: int) -> None:
        rate = self._limit()
        if rate is None:
            return
        with self._lock:
            now = time.monotonic()
            start = max(self._free_at, now - BURST_S)
            self._free_at = start + count / rate
            wait_s = start - now
        if wait_s > 0:
            self._stop.wait(wait_s)
