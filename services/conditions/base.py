"""What every kind of condition shares: what it is given, and what it answers.

A kind is a module with a function `look(eye) -> Report`: it gathers facts, and a pure function `decide(facts, settings,
now, is_open)` turns them into findings. What is open already stands in the ledger, so that hysteresis survives a
restart: a number that sits at its limit does not flap, since it must go back some way before its alert is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.core.ledger.engine import Ledger
from services.core.metrics.spool import Point
from services.core.settings import Settings

BACK: Final = 0.1  # by this fraction of its limit a number must go back before its alert is over
_MOST_LISTED: Final = 10
_MEANWHILE_S: Final = 60.0  # longer than a sweep takes

IsOpen = Callable[[str], bool]


@dataclass(frozen=True)
class Finding:
    """A condition that holds now. `alert` is its name (`ABOUT:…`), `message` one line for a person."""

    alert: str
    message: str
    severity: int = 1
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenAlert:
    """What the ledger holds of an open alert; times are seconds since 1970 UTC."""

    severity: int
    message: str
    raised_at: float
    updated_at: float
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Steady:
    """What is known of the wall clock: since when this process looks at it, and when it was last set.

    A time that was written down before the clock was set, or that is still to come, says nothing of how long ago that
    was: then it counts from when this is known to have been so.
    """

    begun_at: float = 0.0  # or when it was set, if that was later
    set_at: float = 0.0

    def when(self, at: float, now: float) -> float:
        """A time in the past as far as this clock can tell, seconds since 1970.

        What is written down while a sweep looks lies ahead of its `now`, and is not of another clock.
        """
        return self.begun_at if at > now + _MEANWHILE_S else max(min(at, now), self.set_at)


@dataclass(frozen=True)
class Eye:
    """What a look is given.

    `memory` is this kind's own from look to look, lost with the process: trends and the times since when. `open` holds
    the open alerts by name.
    """

    settings: Settings
    ledger: Ledger
    host: str
    now: float
    memory: dict[str, Any]
    open: Mapping[str, OpenAlert]
    steady: Steady = Steady()

    def when(self, at: float | None) -> float | None:
        """A time that was written down, as far as the clock can be believed (see `Steady`)."""
        return None if at is None else self.steady.when(at, self.now)

    def is_open(self, alert: str) -> bool:
        """Whether an alert is open already."""
        return alert in self.open


@dataclass(frozen=True)
class Report:
    """What a look found.

    Open alerts that are `owned`, and are not among the findings, are over: by their name, or, where that ends in a
    colon, by how it begins.
    """

    owned: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    points: tuple[Point, ...] = ()


def is_sole(settings: Settings) -> bool:
    """Whether no other host writes into this ledger: then an alert of a kind that is not found is over."""
    return settings.ledger.url.startswith("sqlite:")


def above(value: float, limit: float, *, is_open: bool, back: float = BACK) -> bool:
    """Whether a number is above its limit; one that was must come down by a fraction of the limit first."""
    return value > (limit * (1.0 - back) if is_open else limit)


def below(value: float, limit: float, *, is_open: bool, back: float = BACK) -> bool:
    """Whether a number is below its limit; one that was must rise by a fraction of the limit first."""
    return value < (limit * (1.0 + back) if is_open else limit)


def grade(
    value: float, limit: float | None, grave: float | None, severity_now: int | None, *, rising: bool = True
) -> int | None:
    """Severity of a number with two limits, the second one grave: None, 1 or 2, each with its own hysteresis.

    Parameters
    ----------
    severity_now : int or None
        Severity of the alert that is open for it.
    rising : bool
        Whether larger is worse.
    """
    beyond = above if rising else below
    if grave is not None and beyond(value, grave, is_open=severity_now == 2):
        return 2
    if limit is not None and beyond(value, limit, is_open=severity_now is not None):
        return 1
    return None


def words_of_time(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for size, unit, form in ((86_400.0, "days", ".1f"), (3600.0, "h", ".1f"), (60.0, "min", ".0f")):
        if seconds >= 2 * size:
            return f"{seconds / size:{form}} {unit}"
    return f"{seconds:.0f} s"


def words_of_bytes(count: float) -> str:
    """`1.2 TB`, `310 MB`."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def listed(names: list[str] | tuple[str, ...]) -> str:
    """Names in one line; of many the first ones and how many more."""
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
