"""Times as people type them: a duration (`2h`, `90m`), or a moment (`2026-11-21T08:00`, `08:00`)."""

from __future__ import annotations

import datetime as dt
import math
import re
import zoneinfo
from typing import Final

import click

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_MOST_S: Final = 366 * 86_400.0


def seconds_of(text: str, option: str) -> float:
    """A duration in seconds: a number with s, m, h, d or w, several of them in a row (`1h30m`).

    Raises
    ------
    click.BadParameter
        It is none, or longer than a year.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smhdw])", text.strip().lower())
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != re.sub(r"\s", "", text.lower()):
        raise click.BadParameter(f"{text!r}: expected a duration such as 90m, 2h, 1h30m or 3d", param_hint=option)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not math.isfinite(seconds) or not 0 < seconds <= _MOST_S:
        raise click.BadParameter(f"{text!r}: expected more than nothing, up to a year", param_hint=option)
    return seconds


def moment_of(text: str, now: float, zone: str, option: str) -> float:
    """A moment to come, in seconds since 1970: ISO with or without an offset, or a time of day (the next one).

    Without an offset it is on the clocks of `zone`.

    Raises
    ------
    click.BadParameter
        It is none, it is over already, or more than a year away.
    """
    here = zoneinfo.ZoneInfo(zone)
    local = dt.datetime.fromtimestamp(now, tz=here)
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            clock = dt.datetime.strptime(text, "%H:%M").time()
            moment = dt.datetime.combine(local.date(), clock, tzinfo=here)
            if moment.timestamp() <= now:
                moment = dt.datetime.combine(local.date() + dt.timedelta(days=1), clock, tzinfo=here)
        else:
            moment = dt.datetime.fromisoformat(text)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=here)
        at = moment.timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r}: expected 08:00, or a date and time such as 2026-11-21T08:00", param_hint=option
        ) from None
    if not now < at <= now + _MOST_S:
        raise click.BadParameter(f"{text!r}: expected a moment to come, at most a year away", param_hint=option)
    return at
