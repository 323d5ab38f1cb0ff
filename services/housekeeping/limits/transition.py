"""What the limit engine says: an alert opened, changed or ended; how a parameter stands; the limits in force."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NEVER: Final = -(2**63)  # ns: before every time
SECOND: Final = 1_000_000_000  # ns

FLAGS: Final[dict[str, str]] = {
    "low": "HK_OOL",
    "high": "HK_OOL",
    "rate": "HK_RATE",
    "rise": "HK_RATE",
    "fall": "HK_RATE",
    "envelope": "HK_UNUSUAL",
    "identity": "HK_IDENTITY",
    "nan": "HK_NAN",
    "railed": "HK_RAILED",
    "stale": "HK_STALE",
}


@dataclass(frozen=True)
class Transition:
    """A condition began, changed its severity, or ended.

    Attributes
    ----------
    alert : str
        `housekeeping:SOURCE:PARAMETER:KIND`; PARAMETER is `*` when the whole source is silent.
    opened : bool
        True when it began or changed its severity, False when it is over.
    severity : int
        1 or 2; of one that is over, what it was.
    message : str
        One line for a person.
    time_ns : int
        Of the sample that decided (of the clock, for staleness), ns since 1970 UTC.
    value, limit : float or None
        In `unit`; None where there is none (a word, a missing number).
    unit : str
    flag : str
    """

    alert: str
    opened: bool
    severity: int
    message: str
    time_ns: int
    value: float | None
    limit: float | None
    unit: str
    flag: str

    @property
    def source(self) -> str:
        """The source in the alert's name."""
        return self.alert.split(":", 2)[1]

    @property
    def parameter(self) -> str:
        """The parameter in the alert's name; it may hold colons itself."""
        return self.alert.split(":", 2)[2].rsplit(":", 1)[0]

    @property
    def kind(self) -> str:
        """The kind in the alert's name."""
        return self.alert.rsplit(":", 1)[1]


@dataclass(frozen=True)
class Verdict:
    """How a parameter stands: `ok`, `warning`, `error`, or `unknown` before its first value.

    `kinds` are the kinds of its open conditions; `value` is NaN where it is a word (`text`) or no number.
    """

    verdict: str
    kinds: tuple[str, ...]
    value: float
    text: str | None
    time_ns: int


@dataclass(frozen=True)
class Bands:
    """Limits in force, as values of the parameter; None is an open end, or an unknown commanded value."""

    unit: str | None
    mode: str
    warning_low: float | None
    warning_high: float | None
    error_low: float | None
    error_high: float | None
    equal: tuple[float | str, ...] = ()
    commanded: float | None = None


def finite(value: float) -> float | None:
    """The number, or None when it is none."""
    return float(value) if math.isfinite(value) else None


def alert_name(source: str, parameter: str, kind: str) -> str:
    """The name of a condition, the same every time."""
    return f"housekeeping:{source}:{parameter}:{kind}"


def with_unit(value: float, unit: str) -> str:
    """A number as a person reads it."""
    return f"{value:.6g} {unit}".rstrip()
