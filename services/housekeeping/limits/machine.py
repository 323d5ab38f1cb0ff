"""When a breach becomes an alert and when an alert ends, for many conditions at a time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

NONE: Final = -1  # "not since any time"; elapsed times are never negative
_ONE: Final = np.uint64(1)


@dataclass
class Patience:
    """Of every condition: `k` breaches among the samples of `mask`, for `persist_ns`; over after `resolve_ns`."""

    k: npt.NDArray[np.uint8]
    mask: Words
    persist_ns: Ints
    resolve_ns: Ints

    def take(self, chosen: Ints) -> Patience:
        """Of some conditions only."""
        return Patience(*(getattr(self, item.name).reshape(-1)[chosen] for item in fields(self)))


@dataclass
class Machine:
    """State of `size` conditions; every array has that length.

    Attributes
    ----------
    on : bool
        Open.
    hits : uint64
        The last samples, newest in bit 0; 1 is a breach.
    since : int64
        Elapsed ns at the first of the breaches that were not interrupted, or `NONE`.
    clear : int64
        Elapsed ns since when an open one is clear without interruption, or `NONE`.
    """

    on: Bools
    hits: Words
    since: Ints
    clear: Ints

    @staticmethod
    def fresh(size: int) -> Machine:
        """Nothing seen yet."""
        never = np.full(size, NONE, dtype=np.int64)
        return Machine(np.zeros(size, dtype=bool), np.zeros(size, dtype=np.uint64), never, never.copy())

    def busy(self, part: slice = slice(None)) -> Bools:
        """Conditions (of a part) that a sample without a breach would change, too."""
        return np.asarray(self.on[part] | (self.hits[part] != 0) | (self.since[part] != NONE))

    def run(
        self, chosen: Ints, breach: Bools, clear: Bools, valid: Bools, elapsed: Ints, patience: Patience
    ) -> list[tuple[int, Ints]]:
        """Go through the samples in order.

        Parameters
        ----------
        chosen : int64 array (n,)
            Which conditions; the others are left alone.
        breach, clear, valid : bool arrays (rows, n)
            Beyond the limit; back inside by the hysteresis; whether the sample says anything about the condition.
        elapsed : int64 array (rows, n)
            Time that has passed, ns; never falling.
        patience : Patience
            Of the chosen conditions.

        Returns
        -------
        list of (row, conditions that opened or ended there)
        """
        on, hits, since, calm = self.on[chosen], self.hits[chosen], self.since[chosen], self.clear[chosen]
        changes = []
        for row in range(len(breach)):
            live, bad, now = valid[row], breach[row], elapsed[row]
            hits = np.where(live, ((hits << _ONE) | bad) & patience.mask, hits)
            since = np.where(live, np.where(bad, np.where(since == NONE, now, since), NONE), since)
            enough = (np.bitwise_count(hits) >= patience.k) & (now - since >= patience.persist_ns)
            opens = live & bad & ~on & enough
            calm = np.where(live, np.where(on & clear[row], np.where(calm == NONE, now, calm), NONE), calm)
            ends = live & on & (calm != NONE) & (now - calm >= patience.resolve_ns)
            if opens.any() or ends.any():
                on = (on | opens) & ~ends
                hits = np.where(ends, np.uint64(0), hits)
                since = np.where(ends, NONE, since)
                calm = np.where(ends, NONE, calm)
                changes.append((row, chosen[opens | ends]))
        self.on[chosen], self.hits[chosen], self.since[chosen], self.clear[chosen] = on, hits, since, calm
        return changes
