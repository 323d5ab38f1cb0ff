"""The last values of housekeeping against their limits."""

from __future__ import annotations

import fnmatch
import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.console.daemons import daemons_of
from services.console.readonly import look_at_ledger
from services.core.errors import LedgerUnreachable
from services.core.ledger.alerts import open_alerts
from services.core.settings import Settings
from services.housekeeping.store import STORE_NAME, Last, StoreUnreachable, open_store

TREND_S: Final = 3600.0
BINS: Final = 60
Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
_RANKS: Final = {"error": 0, "warning": 1}


@dataclass(frozen=True)
class ParameterLine:
    """A parameter: its last value, its limits, and which conditions are open (`high`, `stale`, `nan`, …).

    `age_s` is the time since the sample was taken, by this host's clock.
    """

    source: str
    parameter: str
    value: float | None
    text: str | None
    unit: str
    verdict: str
    conditions: tuple[str, ...]
    limits: dict[str, float | None]
    time_ns: int
    age_s: float

    @property
    def bad(self) -> bool:
        """Whether it is out of limits, silent, or no number."""
        return self.verdict in _RANKS or bool(self.conditions)

    def record(self) -> dict[str, Any]:
        """The line as an object."""
        return {"what": "parameter", **{name: getattr(self, name) for name in self.__dataclass_fields__}}


@dataclass(frozen=True)
class HousekeepingView:
    """What there is to see at one moment; those out of limits first."""

    site: str
    now: float
    lines: Sequence[ParameterLine]
    total: int
    out: int
    troubles: Sequence[str] = ()

    @property
    def bad(self) -> bool:
        """Whether something that was asked about is out of limits, or nobody watches."""
        return bool(self.troubles) or any(line.bad for line in self.lines)

    def records(self) -> Iterator[dict[str, Any]]:
        """One object for all, then one per parameter."""
        numbers = {"parameters": self.total, "out_of_limits": self.out, "troubles": list(self.troubles)}
        yield {"what": "housekeeping", "site": self.site, "now": self.now, **numbers}
        yield from (line.record() for line in self.lines)


class HousekeepingWatch:
    """Looks at the housekeeper's file again and again."""

    def __init__(self, settings: Settings, patterns: Sequence[str], only_out: bool) -> None:
        self._settings = settings
        self._patterns = patterns
        self._only_out = only_out
        self._path = settings.state_dir / STORE_NAME
        self._trends: dict[tuple[str, str], tuple[int, list[float]]] = {}

    def look(self, now: float) -> HousekeepingView:
        """What there is to see now.

        Raises
        ------
        StoreUnreachable
            The housekeeper has not run here, or its file cannot be read.
        """
        troubles: list[str] = []
        conditions = self._conditions(troubles)
        watcher = [line for line in daemons_of(self._settings, now) if line.daemon == "housekeep"]
        if not watcher or watcher[0].bad:
            state = watcher[0].state if watcher else "not running"
            troubles.append(f"housekeep is {state}: nobody watches these values")
        everything = [line_of(last, conditions, now) for last in self._last()]
        chosen = [line for line in everything if matches(line, self._patterns) and (line.bad or not self._only_out)]
        out = sum(line.bad for line in everything)
        return HousekeepingView(self._settings.site, now, sorted(chosen, key=order), len(everything), out, troubles)

    def trend(self, line: ParameterLine) -> list[float]:
        """The last hour of a parameter in `BINS` means, NaN where there is nothing; read again when it has gone on."""
        key = (line.source, line.parameter)
        known = self._trends.get(key)
        if known is None or known[0] != line.time_ns:
            times, values = self.history(line, TREND_S)
            self._trends[key] = known = (line.time_ns, binned(times, values, line.time_ns))
        return known[1]

    def history(self, line: ParameterLine, seconds: float) -> tuple[Times, Values]:
        """Times (ns) and values of a parameter in the last `seconds` before its last value."""
        try:
            store = open_store(self._path, readonly=True)
            try:
                return store.trend(line.source, line.parameter, seconds)
            finally:
                store.close()
        except sqlite3.Error as error:
            raise StoreUnreachable(f"{self._path}: {error}") from error

    def _last(self) -> list[Last]:
        if not self._path.exists():
            raise StoreUnreachable(f"there is no housekeeping at {self._path} yet: `nightferry housekeep` has not run")
        try:
            store = open_store(self._path, readonly=True)
            try:
                return store.last()
            finally:
                store.close()
        except sqlite3.Error as error:
            raise StoreUnreachable(f"{self._path}: {error}") from error

    def _conditions(self, troubles: list[str]) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        try:
            ledger = look_at_ledger(self._settings.ledger)
        except LedgerUnreachable as error:
            troubles.append(str(error))
            return found
        try:
            with ledger.read() as conn:
                names = [row.alert for row in open_alerts(conn) if row.alert.startswith("housekeeping:")]
        except LedgerUnreachable as error:
            troubles.append(str(error))
            return found
        finally:
            ledger.close()
        for name in names:
            source, _, rest = name.removeprefix("housekeeping:").partition(":")
            parameter, _, kind = rest.rpartition(":")
            found.setdefault((source, parameter), []).append(kind)
        return found


def line_of(last: Last, conditions: dict[tuple[str, str], list[str]], now: float) -> ParameterLine:
    """A parameter as it is shown; what is open for its whole source is open for it."""
    own = conditions.get((last.source, last.parameter), []) + conditions.get((last.source, "*"), [])
    return ParameterLine(
        source=last.source,
        parameter=last.parameter,
        value=last.value,
        text=last.text,
        unit=last.unit or "",
        verdict=last.verdict or "unknown",
        conditions=tuple(dict.fromkeys(own)),
        limits=dict(last.limits or {}),
        time_ns=last.time_ns,
        age_s=now - last.time_ns / 1e9,
    )


def matches(line: ParameterLine, patterns: Sequence[str]) -> bool:
    """Whether a parameter was asked for, by its name or by `SOURCE:NAME`; small and capital letters are the same."""
    if not patterns:
        return True
    names = (line.parameter.casefold(), f"{line.source}:{line.parameter}".casefold())
    return any(fnmatch.fnmatchcase(name, pattern.casefold()) for pattern in patterns for name in names)


def binned(times: Times, values: Values, end_ns: int) -> list[float]:
    """Means of `BINS` equal parts of the last hour; NaN where there is no number."""
    start = end_ns - round(TREND_S * 1e9)
    finite = np.isfinite(values)
    place = np.clip((times[finite] - start) * BINS // (end_ns - start), 0, BINS - 1).astype(np.int64)
    count = np.bincount(place, minlength=BINS)
    total = np.bincount(place, weights=values[finite], minlength=BINS)
    with np.errstate(invalid="ignore"):
        return [float(each) for each in np.where(count > 0, total / np.maximum(count, 1), math.nan)]


def order(line: ParameterLine) -> tuple[int, str, str]:
    """Out of limits first; what no limit is asked of last, where a small screen has no room any more."""
    rank = _RANKS.get(line.verdict, 1 if line.conditions else 3 if line.verdict == "unknown" else 2)
    return rank, line.source, line.parameter
