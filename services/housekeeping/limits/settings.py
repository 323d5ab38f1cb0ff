"""The limits file as it is written: strict, every value with its own rule."""

from __future__ import annotations

import datetime as dt
import math
import sys
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, model_validator

from services.core.secret import Section

MAX_SAMPLES: Final = 64  # the memory of k of n is one 64-bit word per condition
DIRECTIONS: Final = ("rise", "fall")  # of a rate
Pair = tuple[float, float]

Seconds = Annotated[float, Field(gt=0, le=86_400 * 30, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Severity = Annotated[int, Field(ge=0, le=2)]


def number_of(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError("expected a finite number")
    return float(value)


def _range(value: Any) -> Pair:
    if isinstance(value, dict) and value and set(value) <= {"low", "high"}:
        ends: list[Any] = [value.get("low"), value.get("high")]
    elif isinstance(value, list | tuple) and len(value) == 2:
        ends = list(value)
    else:
        raise ValueError("expected [low, high], or {low: …, high: …}; null is an open end")
    if ends == [None, None]:
        raise ValueError("expected at least one end that is not open")
    low = -math.inf if ends[0] is None else number_of(ends[0])
    high = math.inf if ends[1] is None else number_of(ends[1])
    if low >= high:
        raise ValueError("expected the low end below the high end")
    return low, high


def _seconds_or_off(value: Any) -> float | None:
    if value is False or value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400 * 30:
        raise ValueError("expected seconds, or off")
    return float(value)


def _hysteresis(value: Any) -> tuple[float, float]:
    """(absolute, fraction): one of them is 0."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        try:
            fraction = float(value.rstrip()[:-1]) / 100
        except ValueError:
            fraction = -1.0
        if not 0 <= fraction < 0.5:
            raise ValueError("expected a share of the range from '0 %' to below '50 %', or a number in the unit")
        return 0.0, fraction
    number = number_of(value)
    if number < 0:
        raise ValueError("expected a number from 0 in the parameter's unit, or a share such as '5 %'")
    return number, 0.0


def _commanded(value: Any) -> float | str:
    if isinstance(value, str) and value:
        return value
    return number_of(value)


def _words(value: Any) -> tuple[float | str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise ValueError("expected a value, a word, or a list of them")
    return tuple(item if isinstance(item, str) else number_of(item) for item in listed)


def date_ns(value: Any) -> int:
    """Nanoseconds since 1970 of a date (0 h UTC) or a time; a time without a zone is UTC."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if not isinstance(value, dt.datetime):
        raise ValueError("expected a date such as 2026-01-31, or a time such as 2026-01-31T18:00:00Z")
    when = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000


Range = Annotated[Pair, PlainValidator(_range)]
SecondsOrOff = Annotated[float | None, PlainValidator(_seconds_or_off)]
Hysteresis = Annotated[tuple[float, float], PlainValidator(_hysteresis)]
Commanded = Annotated[float | str, PlainValidator(_commanded)]
Words = Annotated[tuple[float | str, ...], PlainValidator(_words)]
Date = Annotated[int, PlainValidator(date_ns)]


class PersistSettings(Section):
    """How long before it counts: `samples` (of the last `of`), or `seconds` without a break."""

    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1
    of: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] | None = None
    seconds: Seconds | None = None

    @model_validator(mode="after")
    def _fits(self) -> PersistSettings:
        if not self.model_fields_set:
            raise ValueError("expected samples, samples and of, or seconds")
        if self.of is not None and self.of < self.samples:
            raise ValueError(f"expected 'of' from {self.samples} on: it is the number of samples looked at")
        return self


class WhenSettings(Section):
    """Only while another parameter of the source is so."""

    parameter: Annotated[str, Field(min_length=1)]
    above: Number | None = None
    below: Number | None = None
    settle_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> WhenSettings:
        if self.above is None and self.below is None:
            raise ValueError("expected above, below, or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError("expected 'above' to be less than 'below'")
        return self


class EnvelopeSettings(Section):
    """What is usual, learned from the last nights: median and scatter, and how many sigma off is unusual."""

    warning: Positive = 6.0
    error: Positive | None = None
    nights: Annotated[int, Field(ge=1, le=60)] = 10
    min_nights: Annotated[int, Field(ge=1, le=60)] = 3
    hours: Annotated[int, Field(ge=1, le=24)] | None = None
    state: Annotated[str, Field(min_length=1)] | None = None
    edges: Annotated[tuple[Number, ...], Field(max_length=15)] = ()
    every_s: Seconds = 60.0
    floor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    noon_utc_h: Annotated[float, Field(ge=0, lt=24)] = 12.0
    learn: bool = True

    @model_validator(mode="after")
    def _fits(self) -> EnvelopeSettings:
        if self.min_nights > self.nights:
            raise ValueError("expected min_nights up to nights")
        if self.error is not None and self.error < self.warning:
            raise ValueError("expected the error from the warning on")
        if (self.state is None) == bool(self.edges):
            raise ValueError("'state' and 'edges' belong together: the parameter, and where its states part")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("expected the edges in rising order")
        if self.hours is not None and (self.state is not None or 24 % self.hours):
            raise ValueError("expected hours that divide 24, and not together with state")
        return self


class SeveritySettings(Section):
    """Severity of each kind of alert: 2 wakes a person, 1 mails, 0 only colours the value."""

    warning_low: Severity = 1
    warning_high: Severity = 1
    error_low: Severity = 2
    error_high: Severity = 2
    rate_warning: Severity = 1
    rate_error: Severity = 2
    rise_warning: Severity | None = None
    rise_error: Severity | None = None
    fall_warning: Severity | None = None
    fall_error: Severity | None = None
    identity: Severity = 2
    stale: Severity = 1
    nan: Severity = 1
    railed: Severity = 1
    envelope_warning: Severity = 1
    envelope_error: Severity = 2

    def of(self, name: str) -> int:
        """The severity of a kind; `rise_…` and `fall_…` are those of `rate_…` where they are not said."""
        said: int | None = getattr(self, name)
        return said if said is not None else int(getattr(self, f"rate_{name.partition('_')[2]}"))

    def below(self, above: SeveritySettings) -> SeveritySettings:
        """These over those of the level above; `rate_…` said here goes for both directions, whatever stands above."""
        said = {key: getattr(self, key) for key in self.model_fields_set}
        both = [level for level in ("warning", "error") if f"rate_{level}" in said]
        return above.model_copy(update={f"{way}_{level}": None for way in DIRECTIONS for level in both} | said)
