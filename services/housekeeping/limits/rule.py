"""The rule of one parameter at one time, whole: every default filled in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from services.housekeeping.limits.ratesettings import RateSettings
from services.housekeeping.limits.settings import (
    DIRECTIONS,
    EnvelopeSettings,
    Pair,
    PersistSettings,
    SeveritySettings,
    WhenSettings,
)

OPEN: Pair = (-math.inf, math.inf)


@dataclass(frozen=True)
class Rule:
    """What is asked of a parameter; ranges are (low, high), an open end is infinite.

    In mode `relative` the ranges are deviations from the commanded value. `hysteresis` is (in the unit, as a share of
    the range's width).
    """

    unit: str | None
    mode: str
    commanded: float | str | None
    warning: Pair
    error: Pair
    equal: tuple[float | str, ...]
    severity: SeveritySettings
    persist: PersistSettings
    hysteresis: tuple[float, float]
    resolve_after_s: float
    stale_s: float | None
    stuck_s: float | None
    nan: PersistSettings | None
    rails: tuple[float, ...]
    converter: Pair
    rate: RateSettings | None
    when: WhenSettings | None
    envelope: EnvelopeSettings | None

    @property
    def numeric(self) -> bool:
        """Whether the value is judged as a number."""
        return self.mode != "identity"

    def margin(self, pair: Pair, end: float) -> float:
        """By how much a value must be inside an end of a range before it counts as back."""
        absolute, share = self.hysteresis
        if absolute or not math.isfinite(end):
            return absolute
        width = pair[1] - pair[0]
        return share * (width if math.isfinite(width) else abs(end))

    def helpers(self) -> Iterator[str]:
        """The other parameters that the rule looks at."""
        if isinstance(self.commanded, str) and self.mode == "relative":
            yield self.commanded
        if self.when is not None:
            yield self.when.parameter
        if self.envelope is not None and self.envelope.state is not None:
            yield self.envelope.state

    def mistakes(self, table: bool) -> Iterator[str]:
        """What does not fit together; `table` says that the commanded value may come from the source's table."""
        ranged = self.warning != OPEN or self.error != OPEN
        if self.mode == "identity":
            if not self.equal:
                yield "mode identity needs 'equal': the value or words allowed"
            if ranged or self.rate or self.envelope or self.stuck_s:
                yield "mode identity takes no ranges, rate, stuck_s or envelope"
        elif self.equal:
            yield "'equal' needs mode: identity"
        if self.mode == "relative" and self.commanded is None and not table:
            yield "mode relative needs 'commanded': a number, a parameter, or an entry in the source's table"
        if self.mode == "relative" and not ranged:
            yield "mode relative needs a range of deviations (warning, error, or both)"
        yield from self._lost_severities()
        (wlow, whigh), (elow, ehigh) = self.warning, self.error
        if self.warning != OPEN and (elow > wlow or ehigh < whigh):
            yield (
                f"the safe (error) range {show_range(self.error)} must hold the performance (warning) range "
                f"{show_range(self.warning)}"
            )
        for pair in (self.warning, self.error):
            width = pair[1] - pair[0]
            if 2 * self.margin(pair, pair[0]) >= width:
                yield f"the hysteresis leaves nothing of the range {show_range(pair)}: an alert could never end"

    def _lost_severities(self) -> Iterator[str]:
        """A severity that says nothing, of a person who thinks that a rise is quiet."""
        both = self.rate is not None and not self.rate.directed
        for name in [f"{way}_{level}" for way in DIRECTIONS for level in ("warning", "error") if both]:
            if getattr(self.severity, name) is not None:
                way = name.partition("_")[0]
                yield f"severity {name} needs a limit of its own for that direction: rate: {{{way}: …}}"


def show_range(pair: Pair) -> str:
    """`[-105, -95]`, an open end as `…`."""
    low, high = (f"{end:g}" if math.isfinite(end) else "…" for end in pair)
    return f"[{low}, {high}]"
