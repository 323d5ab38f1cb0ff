"""What a check says, and how a value becomes a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from processors.instrument_schema import Limit

Verdict = Literal["ok", "warning", "error"]
Limits = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One measured value and what to think of it.

    `flag` is empty when all is well. `limits` is the range that decided (the error range when the verdict is error),
    None where the instrument file has none. `detector` and `amplifier` are empty for what concerns the whole file.
    """

    file: str
    check: str
    detector: str
    amplifier: str
    value: float
    unit: str
    verdict: Verdict
    flag: str
    limits: Limits | None
    message: str


def verdict_of(value: float, limit: Limit | None) -> tuple[Verdict, Limits | None]:
    """Verdict on a value, and the range that decided; what is not a number is an error, whatever the limits."""
    warning = None if limit is None else limit.warning
    error = None if limit is None else limit.error
    if not math.isfinite(value) or _outside(value, error):
        return "error", error or warning
    return ("warning" if _outside(value, warning) else "ok"), warning or error


def scaled(limit: Limit | None, scale: float) -> Limit | None:
    """The same limits times a positive factor."""

    def times(limits: Limits | None) -> Limits | None:
        if limits is None:
            return None
        low, high = limits
        return (None if low is None else low * scale), (None if high is None else high * scale)

    if limit is None or scale == 1.0:
        return limit
    return limit.model_copy(update={"warning": times(limit.warning), "error": times(limit.error)})


def _outside(value: float, limits: Limits | None) -> bool:
    if limits is None:
        return False
    low, high = limits
    return (low is not None and value < low) or (high is not None and value > high)
