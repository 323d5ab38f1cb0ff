"""The rate of change of many parameters, robust against noise, single spikes and coarse converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.housekeeping.limits.machine import Bools, Ints
from services.housekeeping.limits.table import Floats

KEPT: Final = 34  # samples per window: at most one in a 32nd of it is kept, so that the memory is bounded


@dataclass
class Rates:
    """The last samples of n parameters: elapsed times (n, 34) in ns, and values, NaN where there is none yet."""

    times: Ints
    values: Floats

    @staticmethod
    def fresh(size: int) -> Rates:
        """Nothing seen yet."""
        return Rates(np.zeros((size, KEPT), dtype=np.int64), np.full((size, KEPT), np.nan))

    def step(self, take: Bools, forget: Bools, elapsed: Ints, values: Floats, over_ns: Ints, step: Floats) -> Floats:
        """Take one row in; the rate of each parameter per second, NaN where this row says nothing.

        The rate is the difference between the medians of the two halves of the window, over the time between the
        halves' mean times; a difference of at most `step` (the converter's) is none.

        Parameters
        ----------
        take, forget : bool arrays (n,)
            Whose value counts; whose past is forgotten (a limit that is not in force).
        elapsed, over_ns : int64 arrays (n,)
        values, step : float64 arrays (n,)
        """
        rates = np.full(len(values), np.nan)
        if forget.any():
            self.values[forget] = np.nan
        due = np.flatnonzero(take & (np.isnan(self.values[:, -1]) | ((elapsed - self.times[:, -1]) * 32 >= over_ns)))
        if not len(due):
            return rates
        for kept, new in ((self.times, elapsed), (self.values, values)):
            kept[due, :-1] = kept[due, 1:]
            kept[due, -1] = new[due]
        times, held = self.times[due], self.values[due]
        age = elapsed[due, None] - times
        inside = ~np.isnan(held) & (age <= over_ns[due, None])
        late = inside & (2 * age < over_ns[due, None])
        early = inside & ~late
        enough = early.any(axis=1) & late.any(axis=1)
        change = np.where(enough, _medians(held, late) - _medians(held, early), 0.0)
        seconds = np.where(enough, _means(age, early) - _means(age, late), 1e9) / 1e9
        rates[due] = np.where(enough, np.where(np.abs(change) <= step[due], 0.0, change) / seconds, np.nan)
        return rates


def _medians(values: Floats, among: Bools) -> Floats:
    """Median of the chosen values of every row; infinite where there is none."""
    ordered = np.sort(np.where(among, values, np.inf), axis=1)
    count = np.maximum(among.sum(axis=1), 1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2)


def _means(values: Ints, among: Bools) -> Floats:
    return np.asarray(np.where(among, values, 0).sum(axis=1) / np.maximum(among.sum(axis=1), 1))
