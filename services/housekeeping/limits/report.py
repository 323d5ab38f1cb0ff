"""Changes of conditions turned into transitions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.housekeeping.limits.block import Block
from services.housekeeping.limits.envelope import Envelope, Plan
from services.housekeeping.limits.machine import Bools, Ints
from services.housekeeping.limits.signals import Signals
from services.housekeeping.limits.staleness import Change, Silence
from services.housekeeping.limits.table import CHANNELS, KIND_OF, KINDS, RATES, Table
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import FLAGS, SECOND, Transition, alert_name
from services.housekeeping.limits.words import Facts, say_open, say_over

_NAMES: Final = tuple(KINDS)


@dataclass(frozen=True)
class Report:
    """What is needed to speak about the rows of a block."""

    source: str
    track: Track
    table: Table
    block: Block
    signals: Signals
    texts: Mapping[int, tuple[str, ...]]
    first: int
    plan: Plan | None
    bins: Ints | None
    envelope: Envelope

    def changes(self, row: int, changed: Ints, on: Bools) -> Iterator[Transition]:
        """Transitions of conditions (flat channels × n) that changed in a row; `on` (15, n) is how they are now."""
        size = len(self.track.names)
        pairs = sorted({(int(index % size), KIND_OF[int(index // size)]) for index in changed})
        for column, kind in pairs:
            channels = KINDS[_NAMES[kind]]
            lit = [channel for channel in channels if on[channel, column]]
            new = max((int(self.table.severity[channel, column]) for channel in lit), default=0)
            old = int(self.track.severity[kind, column])
            if new == old:
                continue
            self.track.severity[kind, column] = new
            yield self._transition(row, column, kind, lit[-1] if new else channels[-1], new, old)

    def _transition(self, row: int, column: int, kind: int, channel: int, new: int, old: int) -> Transition:
        name, when = _NAMES[kind], int(self.block.times_ns[row])
        facts = self._facts(row, column, channel)
        alert = alert_name(self.source, self.track.names[column], name)
        if not new:
            value = facts.value if math.isfinite(facts.value) and facts.text is None else None
            return Transition(alert, False, old, say_over(name, facts), when, value, None, facts.unit, FLAGS[name])
        word = "error" if CHANNELS[channel].startswith("error") or CHANNELS[channel].endswith("error") else "warning"
        message, value, limit, unit = say_open(name, word, facts)
        return Transition(alert, True, new, message, when, value, limit, unit, FLAGS[name])

    def _facts(self, row: int, column: int, channel: int) -> Facts:
        rule = self.table.rules[column]
        assert rule is not None
        name = self.track.names[column]
        commanded = float(self.block.commanded[row, column])
        words = self.texts.get(column)
        return Facts(
            parameter=name,
            rule=rule,
            unit=self.track.units.get(name) or rule.unit or "",
            value=float(self.block.values[row, column]),
            limit=self._limit(column, channel, commanded),
            commanded=commanded,
            rate=float(self.signals.rates[row, column]),
            score=float(self.signals.scores[row, column]),
            same_s=float(self.block.same_ns[row, column]) / SECOND,
            text=None if words is None else words[self.first + row],
            source_unit=self.track.units.get(name),
            usual=self._usual(row, column),
        )

    def _limit(self, column: int, channel: int, commanded: float) -> float:
        kind = _NAMES[KIND_OF[channel]]
        if kind in ("low", "high"):
            return float(self.table.limits[channel, column]) + commanded
        if kind in RATES:
            return float(self.table.rate_limits[kind][channel - RATES[kind], column])
        return float(self.table.z_limits[channel - 6, column]) if kind == "envelope" else 0.0

    def _usual(self, row: int, column: int) -> tuple[float, float] | None:
        if self.plan is None or self.bins is None or column not in self.plan.columns:
            return None
        which = int(np.flatnonzero(self.plan.columns == column)[0])
        return self.envelope.expected(self.plan, which, int(self.bins[row, which]))

    @staticmethod
    def orphan(alert: str, severity: int, now_ns: int) -> Transition:
        """The end of an alert whose limit was taken out of the file."""
        kind = alert.rsplit(":", 1)[1]
        return Transition(
            alert, False, severity, "there is no such limit any more", now_ns, None, None, "", FLAGS[kind]
        )

    @staticmethod
    def silence(
        source: str, track: Track, table: Table, silence: Silence, change: Change, now_ns: int
    ) -> Iterator[Transition]:
        """A parameter, or the source (column -1), fell silent or speaks again."""
        rules = [rule for rule in table.rules if rule is not None]
        if change.column >= 0:
            rule = table.rules[change.column]
            rules = [rule] if rule is not None else []
        name = track.names[change.column] if change.column >= 0 else "*"
        severity = max((rule.severity.stale for rule in rules), default=1)
        if change.column < 0:
            severity, silence.severity = (severity, severity) if change.stale else (silence.severity or severity, 0)
        if severity:
            yield _silence(source, name, severity, change, now_ns)


def _silence(source: str, name: str, severity: int, change: Change, now_ns: int) -> Transition:
    who = f"source {source}" if name == "*" else name
    seconds, limit = change.age_ns / SECOND, change.limit_ns / SECOND
    if not change.stale:
        message = f"{who} speaks again"
    elif change.never:
        message = f"{who} has not said anything in the {seconds:.0f} s since the watch began (limit {limit:.0f} s)"
    else:
        message = f"{who} has been silent for {seconds:.0f} s (limit {limit:.0f} s)"
    alert = alert_name(source, name, "stale")
    return Transition(
        alert, change.stale, severity, message, now_ns, seconds, limit, "s", FLAGS["stale"]
    )  # fmt: skip
