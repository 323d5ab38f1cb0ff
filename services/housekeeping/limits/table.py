"""The rules of all parameters of a source at one time, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from services.housekeeping.limits.machine import Bools, Ints, Patience
from services.housekeeping.limits.ratesettings import RateSettings
from services.housekeeping.limits.rule import Rule
from services.housekeeping.limits.settings import PersistSettings, WhenSettings
from services.housekeeping.limits.transition import SECOND

Floats = npt.NDArray[np.float64]

CHANNELS: Final = (
    "warning_low", "error_low", "warning_high", "error_high", "rate_warning", "rate_error",
    "envelope_warning", "envelope_error", "identity", "nan", "railed",
    # behind the others, whose places stand in the states that are kept
    "rise_warning", "rise_error", "fall_warning", "fall_error",
)  # fmt: skip
# kind -> its channel of a warning and of an error; a kind of one level has the same twice
KINDS: Final[dict[str, tuple[int, int]]] = {
    "low": (0, 1), "high": (2, 3), "rate": (4, 5), "envelope": (6, 7), "identity": (8, 8), "nan": (9, 9),
    "railed": (10, 10), "rise": (11, 12), "fall": (13, 14),
}  # fmt: skip
KIND_OF: Final = tuple(
    next(index for index, pair in enumerate(KINDS.values()) if channel in pair) for channel in range(len(CHANNELS))
)
ENVELOPE, IDENTITY, NAN, RAILED = 6, 8, 9, 10
RATES: Final = {kind: KINDS[kind][0] for kind in ("rate", "rise", "fall")}  # the channel of the warning
NUMERIC: Final = (slice(0, IDENTITY), slice(RAILED + 1, len(CHANNELS)))  # channels that compare a number
PER: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


@dataclass(frozen=True)
class Table:
    """Arrays over channels (15) and parameters (n), in the order of `CHANNELS` and of `rules`.

    Attributes
    ----------
    rules : tuple of Rule or None
        None for a parameter that others only look at.
    asked, severity, patience
        (15, n): which conditions are asked for, the severity of each, and its patience.
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
    rate_limits : mapping of kind (rate, rise, fall) to float64 (2, n)
        Of a warning and an error, per second; infinite when not asked for.
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
    rate_limits: Mapping[str, Floats]
    rate_over_ns: Ints
    rate_step: Floats
    z_limits: Floats

    @cached_property
    def rated(self) -> Bools:
        """(n,): whose rate is asked for, in any direction."""
        asked = [self.asked[first : first + 2].any(axis=0) for first in RATES.values()]
        return np.asarray(np.logical_or.reduce(asked))

    @cached_property
    def fast(self) -> frozenset[int]:
        """The channels of the warnings of rates and of the envelope that anybody asks for, or for their errors."""
        return frozenset(first for first in (*RATES.values(), ENVELOPE) if self.asked[first : first + 2].any())


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
        rate_limits={kind: np.full((2, size), np.inf) for kind in RATES},
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
    table.asked[:4, column] = np.isfinite(ends)
    if rule.rate is not None:
        _fill_rate(table, column, rule.rate)
    if rule.envelope is not None:
        levels = (rule.envelope.warning, rule.envelope.error)
        table.z_limits[:, column] = [limit or math.inf for limit in levels]
        table.asked[6:8, column] = [limit is not None for limit in levels]
    if rule.numeric:
        table.rails[column, : len(rule.rails)] = rule.rails
        table.stuck_ns[column] = round((rule.stuck_s or 0) * SECOND)
    railed = bool(rule.rails or rule.stuck_s or np.isfinite(rule.converter).any()) and rule.numeric
    table.asked[IDENTITY : RAILED + 1, column] = (rule.mode == "identity", rule.nan is not None, railed)
    table.severity[:, column] = [rule.severity.of(channel) for channel in CHANNELS]
    _fill_patience(table.patience, column, rule)


def _fill_rate(table: Table, column: int, rate: RateSettings) -> None:
    for kind, channel in RATES.items():
        levels = rate.levels(kind)
        table.rate_limits[kind][:, column] = [(limit or math.inf) / PER[rate.per] for limit in levels]
        table.asked[channel : channel + 2, column] = [limit is not None for limit in levels]
    table.rate_over_ns[column] = round(rate.over_s * SECOND)
    table.rate_step[column] = rate.resolution


def _fill_patience(patience: Patience, column: int, rule: Rule) -> None:
    for channel in range(len(CHANNELS)):
        persist: PersistSettings = rule.nan if channel == NAN and rule.nan is not None else rule.persist
        patience.k[channel, column] = persist.samples
        patience.mask[channel, column] = np.uint64(2 ** (persist.of or persist.samples) - 1)
        patience.persist_ns[channel, column] = round((persist.seconds or 0) * SECOND)
        patience.resolve_ns[channel, column] = round(rule.resolve_after_s * SECOND)
