"""The rules of all parameters of a source at one time, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.housekeeping.limits.machine import Bools, Ints, Patience
from services.housekeeping.limits.rule import Rule
from services.housekeeping.limits.settings import PersistSettings, WhenSettings
from services.housekeeping.limits.transition import SECOND

Floats = npt.NDArray[np.float64]

CHANNELS: Final = (
    "warning_low", "error_low", "warning_high", "error_high", "rate_warning", "rate_error",
    "envelope_warning", "envelope_error", "identity", "nan", "railed",
)  # fmt: skip
# kind -> its channel of a warning and of an error; a kind of one level has the same twice
KINDS: Final[dict[str, tuple[int, int]]] = {
    "low": (0, 1), "high": (2, 3), "rate": (4, 5), "envelope": (6, 7), "identity": (8, 8), "nan": (9, 9),
    "railed": (10, 10),
}  # fmt: skip
KIND_OF: Final = tuple(
    next(index for index, pair in enumerate(KINDS.values()) if channel in pair) for channel in range(len(CHANNELS))
)
IDENTITY, NAN, RAILED = 8, 9, 10
PER: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


@dataclass(frozen=True)
class Table:
    """Arrays over channels (11) and parameters (n), in the order of `CHANNELS` and of `rules`.

    Attributes
    ----------
    rules : tuple of Rule or None
        None for a parameter that others only look at.
    asked, severity, patience
        (11, n): which conditions are asked for, the severity of each, and its patience.
    limits, backs : float64 (4, n)
        Ends of the ranges (warning low, error low, warning high, error high), and where a value counts as back.
    relative, commanded, commanded_at
        (n,): whether ranges are deviations; a constant commanded value (NaN: none), or the column it stands in (-1).
    stale_ns, stuck_ns : int64 (n,)
        0 when not asked for.
    rails : float64 (n, most rails)
        NaN where there are fewer.
    ends : float64 (2, n)
        Of the converter.
    whens : tuple of (settings, column looked at, columns that depend on it)
    rate_limits : float64 (2, n)
        Per second; infinite when not asked for.
    rate_over_ns : int64 (n,)
    rate_step : float64 (n,)
    z_limits : float64 (2, n)
    """

    rules: tuple[Rule | None, ...]
    asked: Bools
    severity: npt.NDArray[np.int8]
    patience: Patience
    limits: Floats
    backs: Floats
    relative: Bools
    commanded: Floats
    commanded_at: Ints
    stale_ns: Ints
    stuck_ns: Ints
    rails: Floats
    ends: Floats
    whens: tuple[tuple[WhenSettings, int, Ints], ...]
    rate_limits: Floats
    rate_over_ns: Ints
    rate_step: Floats
    z_limits: Floats


def table_of(rules: Sequence[Rule | None], places: Mapping[str, int]) -> Table:
    """Arrays of the rules; `places` says in which column each parameter stands."""
    size, channels = len(rules), len(CHANNELS)
    table = Table(
        rules=tuple(rules),
        asked=np.zeros((channels, size), dtype=bool),
        severity=np.zeros((channels, size), dtype=np.int8),
        patience=Patience(
            np.ones((channels, size), dtype=np.uint8),
            np.ones((channels, size), dtype=np.uint64),
            np.zeros((channels, size), dtype=np.int64),
            np.zeros((channels, size), dtype=np.int64),
        ),
        limits=np.repeat([[-np.inf], [-np.inf], [np.inf], [np.inf]], size, axis=1),
        backs=np.repeat([[-np.inf], [-np.inf], [np.inf], [np.inf]], size, axis=1),
        relative=np.zeros(size, dtype=bool),
        commanded=np.full(size, np.nan),
        commanded_at=np.full(size, -1, dtype=np.int64),
        stale_ns=np.zeros(size, dtype=np.int64),
        stuck_ns=np.zeros(size, dtype=np.int64),
        rails=np.full((size, max((len(rule.rails) for rule in rules if rule), default=0)), np.nan),
        ends=np.repeat([[-np.inf], [np.inf]], size, axis=1),
        whens=_whens(rules, places),
        rate_limits=np.full((2, size), np.inf),
        rate_over_ns=np.full(size, SECOND, dtype=np.int64),
        rate_step=np.zeros(size),
        z_limits=np.full((2, size), np.inf),
    )
    for column, rule in enumerate(rules):
        if rule is not None:
            _fill(table, column, rule, places)
    return table


def _whens(rules: Sequence[Rule | None], places: Mapping[str, int]) -> tuple[tuple[WhenSettings, int, Ints], ...]:
    members: dict[WhenSettings, list[int]] = {}
    for column, rule in enumerate(rules):
        if rule is not None and rule.when is not None:
            members.setdefault(rule.when, []).append(column)
    return tuple((when, places[when.parameter], np.array(which)) for when, which in members.items())


def _fill(table: Table, column: int, rule: Rule, places: Mapping[str, int]) -> None:
    ends = (rule.warning[0], rule.error[0], rule.warning[1], rule.error[1])
    pairs = (rule.warning, rule.error, rule.warning, rule.error)
    margins = [rule.margin(pair, end) if math.isfinite(end) else 0.0 for pair, end in zip(pairs, ends, strict=True)]
    table.limits[:, column] = ends
    table.backs[:, column] = np.array(ends) + np.array(margins) * (1, 1, -1, -1)
    table.relative[column] = rule.mode == "relative"
    if isinstance(rule.commanded, str):
        table.commanded_at[column] = places[rule.commanded] if rule.mode == "relative" else -1
    elif rule.commanded is not None:
        table.commanded[column] = rule.commanded
    table.stale_ns[column] = round((rule.stale_s or 0) * SECOND)
    table.ends[:, column] = rule.converter
    asked = [*(math.isfinite(end) for end in ends), False, False, False, False]
    if rule.rate is not None:
        table.rate_limits[:, column] = [(limit or math.inf) / PER[rule.rate.per] for limit in _levels(rule.rate)]
        table.rate_over_ns[column] = round(rule.rate.over_s * SECOND)
        table.rate_step[column] = rule.rate.resolution
        asked[4:6] = [limit is not None for limit in _levels(rule.rate)]
    if rule.envelope is not None:
        table.z_limits[:, column] = [limit or math.inf for limit in _levels(rule.envelope)]
        asked[6:8] = [limit is not None for limit in _levels(rule.envelope)]
    if rule.numeric:
        table.rails[column, : len(rule.rails)] = rule.rails
        table.stuck_ns[column] = round((rule.stuck_s or 0) * SECOND)
    railed = bool(rule.rails or rule.stuck_s or np.isfinite(rule.converter).any()) and rule.numeric
    table.asked[:, column] = [*asked, rule.mode == "identity", rule.nan is not None, railed]
    table.severity[:, column] = [getattr(rule.severity, channel) for channel in CHANNELS]
    _fill_patience(table.patience, column, rule)


def _levels(settings: object) -> tuple[float | None, float | None]:
    return getattr(settings, "warning", None), getattr(settings, "error", None)


def _fill_patience(patience: Patience, column: int, rule: Rule) -> None:
    for channel in range(len(CHANNELS)):
        persist: PersistSettings = rule.nan if channel == NAN and rule.nan is not None else rule.persist
        patience.k[channel, column] = persist.samples
        patience.mask[channel, column] = np.uint64(2 ** (persist.of or persist.samples) - 1)
        patience.persist_ns[channel, column] = round((persist.seconds or 0) * SECOND)
        patience.resolve_ns[channel, column] = round(rule.resolve_after_s * SECOND)
