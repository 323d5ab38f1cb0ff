"""Times as files and messages write them → nanoseconds since 1970 UTC; a `ValueError` is a time nobody can read."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
AHEAD_NS: Final = 60 * NS  # a row so far ahead of our clock says that one of the clocks is wrong
MJD_1970: Final = 40_587
_EPOCH: Final = dt.datetime(1970, 1, 1)
_UTC_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICRO: Final = dt.timedelta(microseconds=1)
_LATEST_S: Final = Decimal(9_000_000_000)  # the year 2255: what 64 bits of nanoseconds hold
_NUMBER: Final = re.compile(r"[+-]?(\d{1,30})(\.\d{0,30})?([eE][+-]?\d{1,2})?")
_FINE: Final = re.compile(r"(.*\.\d{6})(\d{1,3})(Z|[+-]\d\d:?\d\d)?")  # finer than microseconds
_UNITS: Final = {"unix_s": NS, "unix_ms": 1_000_000, "unix_us": 1000, "unix_ns": 1}

# (text, the time of the row before it or None) → nanoseconds
TimeParser = Callable[[str, int | None], int]


def time_parser(form: str, zone: str = "UTC") -> TimeParser:
    """A parser of one format: iso, unix_s, unix_ms, unix_us, unix_ns, mjd or strptime:FORMAT.

    Times without a zone of their own are in `zone`; in the hour that an autumn repeats, the row before decides.
    """
    place = zoneinfo.ZoneInfo(zone)
    if form == "iso":
        return lambda text, last: _iso(text, place, last)
    if form.startswith("strptime:"):
        pattern = form.removeprefix("strptime:")
        return lambda text, last: _to_ns(dt.datetime.strptime(text, pattern), place, last)
    if form == "mjd":
        return lambda text, _: mjd_ns(text)
    unit = _UNITS[form]
    return lambda text, _: _bounded(_decimal(text) * unit)


def mjd_ns(text: str) -> int:
    """A modified Julian date in days; its decimals are kept, which a float of 64 bits would cut at microseconds."""
    return _bounded((_decimal(text) - MJD_1970) * DAY_NS)


def _iso(text: str, zone: dt.tzinfo, last: int | None) -> int:
    if text[11:16] == "24:00":  # the end of a day: the moment after its last minute
        return _iso(f"{text[:11]}23:59{text[16:]}", zone, last) + 60 * NS
    if text[16:19] == ":60":  # a leap second
        return _iso(f"{text[:16]}:59{text[19:]}", zone, last) + NS
    fine = _FINE.fullmatch(text) if len(text) > 26 else None
    if fine is None:
        return _to_ns(dt.datetime.fromisoformat(text), zone, last)
    head, rest, offset = fine.groups()
    return _to_ns(dt.datetime.fromisoformat(head + (offset or "")), zone, last) + int(rest.ljust(3, "0"))


def _to_ns(moment: dt.datetime, zone: dt.tzinfo, last: int | None) -> int:
    if moment.tzinfo is None:
        if getattr(zone, "key", "") == "UTC":
            return _checked((moment - _EPOCH) // _MICRO * 1000)
        first, second = (_aware_ns(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
        # Seconds that stand twice on the clock: the earlier, unless that would lie before the row above.
        return second if last is not None and first < last <= second else first
    return _aware_ns(moment)


def _aware_ns(moment: dt.datetime) -> int:
    return _checked((moment - _UTC_EPOCH) // _MICRO * 1000)


def _decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):  # Decimal itself takes 1e999999, which no computer writes out as an integer
        raise ValueError(f"{text[:40]!r} is no time")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no time") from None


def _bounded(ns: Decimal) -> int:
    if abs(ns) > _LATEST_S * NS:
        raise ValueError("the time is beyond any calendar")
    return int(ns.to_integral_value())


def _checked(ns: int) -> int:
    if abs(ns) > _LATEST_S * NS:
        raise ValueError("the time is beyond any calendar")
    return ns
