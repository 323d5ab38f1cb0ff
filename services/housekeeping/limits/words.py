"""What is said of a condition: one line for a person, the value, and the limit it crossed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from services.housekeeping.limits.rule import Rule
from services.housekeeping.limits.transition import with_unit

_FAST: Final = {"rate": "changes", "rise": "rises", "fall": "falls"}


@dataclass(frozen=True)
class Facts:
    """One parameter in one row.

    Attributes
    ----------
    value, commanded : float
        `commanded` is 0 in absolute mode.
    limit : float
        Of the level reached: of the value, of the rate per second, or of the robust z.
    back : float
        Where the value counts as back.
    rate, score : float
        NaN where unknown.
    same_s : float
        For how long the value has been the same.
    text : str or None
    source_unit : str or None
    usual : tuple of float
        Centre and scatter of the envelope.
    """

    parameter: str
    rule: Rule
    unit: str
    value: float
    limit: float
    commanded: float
    rate: float
    score: float
    same_s: float
    text: str | None
    source_unit: str | None
    usual: tuple[float, float] | None


def say_open(kind: str, word: str, facts: Facts) -> tuple[str, float | None, float | None, str]:
    """(message, value, limit, unit) of a condition that begins; `word` is `warning` or `error`."""
    name, unit = facts.parameter, facts.unit
    if kind in ("low", "high"):
        side = "below" if kind == "low" else "above"
        relative = f", commanded {with_unit(facts.commanded, unit)}" if facts.rule.mode == "relative" else ""
        said = f"{name} {with_unit(facts.value, unit)} is {side} {with_unit(facts.limit, unit)} ({word}{relative})"
        return said, facts.value, facts.limit, unit
    if kind in _FAST:
        return _say_rate(kind, word, facts)
    if kind == "envelope":
        centre, scatter = facts.usual or (math.nan, math.nan)
        said = (
            f"{name} {with_unit(facts.value, unit)} is unusual ({word}): {abs(facts.score):.1f} sigma from the "
            f"{with_unit(centre, unit)} of the last nights"
        )
        return said, facts.value, centre + math.copysign(facts.limit * scatter, facts.score), unit
    if kind == "identity":
        return _say_identity(facts)
    if kind == "nan":
        if math.isfinite(facts.value):
            return f"{name} has no commanded value to be compared with", facts.value, None, unit
        return f"{name} gives no number", None, None, unit
    stuck = facts.rule.stuck_s
    if stuck is not None and facts.same_s >= stuck:
        said = f"{name} has been exactly {with_unit(facts.value, unit)} for {facts.same_s:.0f} s"
        return said, facts.value, None, unit
    return f"{name} {with_unit(facts.value, unit)} is at the end of its converter", facts.value, facts.value, unit


def say_over(kind: str, facts: Facts) -> str:
    """One line for a condition that is over."""
    name = facts.parameter
    value = f": {with_unit(facts.value, facts.unit)}" if math.isfinite(facts.value) and facts.text is None else ""
    if kind in ("low", "high"):
        return f"{name} is back inside its limits{value}"
    said = {
        "rate": "changes slowly again",
        "rise": "rises fast no more",
        "fall": "falls fast no more",
        "envelope": "is as usual again",
        "identity": "is as it must be again",
        "nan": "gives numbers again",
        "railed": "moves again",
    }[kind]
    return f"{name} {said}{value}"


def _say_rate(kind: str, word: str, facts: Facts) -> tuple[str, float | None, float | None, str]:
    assert facts.rule.rate is not None
    per = facts.rule.rate.per
    seconds = {"second": 1.0, "minute": 60.0, "hour": 3600.0}[per]
    unit = f"{facts.unit}/{per[:1] if per != 'minute' else 'min'}".lstrip()
    rate, limit = facts.rate * seconds, facts.limit * seconds
    rough = float(f"{rate if kind == 'rate' else abs(rate):.3g}")  # more digits would be noise
    said = (
        f"{facts.parameter} {_FAST[kind]} by {with_unit(rough, unit)}, faster than {with_unit(limit, unit)} ({word}); "
        f"it is {with_unit(facts.value, facts.unit)}"
    )
    return said, rate, math.copysign(limit, rate), unit


def _say_identity(facts: Facts) -> tuple[str, float | None, float | None, str]:
    if facts.rule.mode != "identity":
        said = f"{facts.parameter} is in {facts.source_unit}, its limits are in {facts.rule.unit}: not compared"
        return said, None, None, facts.unit
    shown = facts.text if facts.text is not None else with_unit(facts.value, facts.unit)
    wanted = " or ".join(word if isinstance(word, str) else f"{word:g}" for word in facts.rule.equal)
    only = facts.rule.equal[0] if len(facts.rule.equal) == 1 else None
    value = None if facts.text is not None else facts.value
    said = f"{facts.parameter} is {shown or '(nothing)'}, must be {wanted}"
    return said, value, only if isinstance(only, float) else None, facts.unit
