"""The order of rows in time: repeated rows, rows of one second, clocks that were set back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

_MOST_AT_ONCE: Final = 256  # rows of one time stamp that are remembered
_MOST_JUMPS: Final = 999  # ns


class Sequencer:
    """Gives every row of one stream a time that is its own.

    The same row twice is one row. Different rows with one time stamp keep their order, one nanosecond apart, so that
    neither replaces the other in a database. A clock that was set back writes times that have been written before:
    these rows keep their times, but for one nanosecond per step back, for the same reason. `state` continues exactly.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.last: int | None = state.get("last")
        self._newest: int = state.get("newest", 0)
        self._base: int = state.get("base", 0)
        self._jumps: int = state.get("jumps", 0)
        self._digests: list[str] = list(state.get("seen", ()))
        self._texts: list[str] = []  # rows whose digest nobody has asked for yet
        self.repeated = 0
        self.clock_back = 0

    def place(self, time_ns: int, row: str) -> int | None:
        """The time of the row, or None when it is the row before once more."""
        if time_ns == self.last:
            self._digest()
            digest = _digest(row)
            if digest in self._digests:
                self.repeated += 1
                return None
            self._digests.append(digest)
            return self._base + min(len(self._digests) - 1, _MOST_AT_ONCE)
        if self.last is not None and time_ns < self.last:
            self.clock_back += 1
            self._jumps = min(self._jumps + 1, _MOST_JUMPS)
        self._base = time_ns if time_ns > self._newest else time_ns + self._jumps
        self._newest = max(self._newest, time_ns)
        self.last = time_ns
        self._digests = []
        self._texts = [row]
        return self._base

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON."""
        self._digest()
        return {
            "last": self.last,
            "newest": self._newest,
            "base": self._base,
            "jumps": self._jumps,
            "seen": self._digests[-_MOST_AT_ONCE:],
        }

    def _digest(self) -> None:
        self._digests += [_digest(text) for text in self._texts]
        self._texts = []


def _digest(row: str) -> str:
    return hashlib.blake2b(row.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
