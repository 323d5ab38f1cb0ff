"""The envelope of a source: which parameters have one, how far their values are from what is usual, what is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.housekeeping.limits.machine import Bools, Ints
from services.housekeeping.limits.memory import Memory
from services.housekeeping.limits.rule import Rule
from services.housekeeping.limits.settings import EnvelopeSettings
from services.housekeeping.limits.table import Floats
from services.housekeeping.limits.transition import NEVER, SECOND

_DAY: Final = 86_400 * SECOND
_HOUR: Final = 3600 * SECOND


@dataclass(frozen=True)
class Plan:
    """The envelopes of a source: arrays over the m parameters that have one.

    Attributes
    ----------
    columns : int64 (m,)
    floor, least : float64, int64 (m,)
        Smallest scatter, and nights needed.
    learns : bool (m,)
    groups : tuple of (settings, column of the state or -1, which of the m)
    bins, nights : int
        The most that any of them needs.
    every_ns, noon_ns : int
        A value is learned at most this often; noon, after 0 h UTC.
    """

    columns: Ints
    floor: Floats
    least: Ints
    learns: Bools
    groups: tuple[tuple[EnvelopeSettings, int, Ints], ...]
    bins: int
    nights: int
    every_ns: int
    noon_ns: int

    def bins_at(self, times_ns: Ints, states: Mapping[int, Floats]) -> Ints:
        """The bin of every row and parameter, (rows, m); -1 where the state is not known."""
        bins = np.zeros((len(times_ns), len(self.columns)), dtype=np.int64)
        for given, state_at, which in self.groups:
            if given.hours is not None:
                bins[:, which] = (times_ns // (_HOUR * given.hours) % (24 // given.hours))[:, None]
            elif state_at >= 0:
                state = states[state_at]
                found = np.searchsorted(given.edges, state, side="right")
                bins[:, which] = np.where(np.isfinite(state), found, -1)[:, None]
        return bins

    def night_at(self, times_ns: Ints) -> Ints:
        """Number of the night of every row, noon to noon."""
        return np.asarray((times_ns - self.noon_ns) // _DAY)


def plan_of(rules: Sequence[Rule | None], places: Mapping[str, int]) -> Plan | None:
    """The envelopes among the rules of all columns; None when there is none."""
    found = [(column, rule.envelope) for column, rule in enumerate(rules) if rule is not None and rule.envelope]
    if not found:
        return None
    settings = [given for _, given in found]
    members: dict[EnvelopeSettings, list[int]] = {}
    for index, given in enumerate(settings):
        members.setdefault(given, []).append(index)
    return Plan(
        columns=np.array([column for column, _ in found]),
        floor=np.array([given.floor for given in settings]),
        least=np.array([given.min_nights for given in settings]),
        learns=np.array([given.learn for given in settings]),
        groups=tuple(
            (given, places[given.state] if given.state is not None else -1, np.array(which))
            for given, which in members.items()
        ),
        bins=max(24 // given.hours if given.hours else len(given.edges) + 1 for given in settings),
        nights=max(given.nights for given in settings),
        every_ns=round(min(given.every_s for given in settings) * SECOND),
        noon_ns=round(settings[0].noon_utc_h * _HOUR),
    )


@dataclass
class Envelope:
    """The memory and its clock: the night that is being learned, and when a value was last offered."""

    memory: Memory
    night: int = NEVER
    offered_ns: int = NEVER

    def __post_init__(self) -> None:
        self.usual = self.memory.usual()
        self._dumped: dict[str, Any] | None = None

    def dump(self) -> dict[str, Any]:
        """As JSON; the memory is large and changes rarely, so that it is written anew only when it has changed."""
        if self._dumped is None:
            self._dumped = self.memory.dump()
        return {"memory": self._dumped, "night": self.night, "offered_ns": self.offered_ns}

    def turn(self, night: int) -> None:
        """Sum the night up when a later one has begun."""
        if night > self.night:
            if self.night != NEVER:
                self.close_night()
            self.night = night

    def close_night(self) -> None:
        """Sum the night up; from now on it counts."""
        self._dumped = None
        self.memory.close_night()
        self.usual = self.memory.usual()

    def fitted(self, size: int, plan: Plan) -> Envelope:
        """With room for what the plan needs; the same one when it has it already."""
        have = self.memory.medians.shape
        want = (size, max(plan.bins, have[1]), max(plan.nights, have[2]))
        if have == want:
            return self
        return Envelope(self.memory.resized(*want), self.night, self.offered_ns)

    def score(self, plan: Plan, bins: Ints, values: Floats) -> Floats:
        """Robust z of every value (rows, m); NaN where too few nights are known."""
        centre, scatter, nights = self.usual
        rows = plan.columns[None, :]
        ready = (bins >= 0) & (nights[rows, bins] >= plan.least)
        sigma = np.maximum(scatter[rows, bins], plan.floor)
        with np.errstate(invalid="ignore"):
            return np.where(ready, (values[:, plan.columns] - centre[rows, bins]) / sigma, np.nan)

    def expected(self, plan: Plan, which: int, chosen: int) -> tuple[float, float]:
        """Centre and scatter of one of the m parameters in a bin."""
        centre, scatter, _ = self.usual
        column = plan.columns[which]
        return float(centre[column, chosen]), max(float(scatter[column, chosen]), float(plan.floor[which]))

    def learn(
        self, plan: Plan, times_ns: Ints, bins: Ints, values: Floats, good: Bools, everyone: bool = False
    ) -> None:
        """Offer the good values (rows, n) of the rows that are due; a clock that jumped back begins anew.

        With `everyone` those whose envelope is frozen (`learn: off`) learn, too: a person asked for it.
        """
        for row, when in enumerate(times_ns.tolist()):
            if 0 <= when - self.offered_ns < plan.every_ns:
                continue
            self.offered_ns = when
            who = np.flatnonzero((plan.learns | everyone) & good[row, plan.columns] & (bins[row] >= 0))
            if len(who):
                self._dumped = None
                columns = plan.columns[who]
                self.memory.offer(columns, bins[row, who], values[row, columns])
