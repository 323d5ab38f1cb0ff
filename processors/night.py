"""Times of observation and the nights they belong to."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Final

from processors.errors import BadFrame
from processors.instrument_schema import Site

_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}:\d{2}(?:\.\d*)?Z?")
_MJD_ZERO: Final = dt.datetime(1858, 11, 17)
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


def parse_time(text: str, form: str) -> dt.datetime:
    """UTC (without a zone) from `iso` text, a modified Julian date (`mjd`), or a strptime format.

    Raises
    ------
    BadFrame
        The text is no such time, has no time of day, or is before 1970 or after 2199.
    """
    try:
        time = _parse(text.strip(), form)
    except (ValueError, OverflowError) as error:
        raise BadFrame(f"time of observation {text!r} is not a time ({form})") from error
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise BadFrame(f"time of observation {text!r} is in the year {time.year}")
    return time


def _parse(text: str, form: str) -> dt.datetime:
    if form == "mjd":
        return _MJD_ZERO + dt.timedelta(days=float(text))
    if form != "iso":
        return dt.datetime.strptime(text, form).replace(tzinfo=None)
    if not _ISO.fullmatch(text):
        raise ValueError(text)
    whole, _, fraction = text.rstrip("Z").replace(" ", "T").partition(".")
    leap = whole.endswith(":60")  # datetime knows no leap second: take the last one before and add one
    whole = whole[:-2] + "59" if leap else whole
    time = dt.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return time + dt.timedelta(seconds=int(leap), microseconds=int(f"{fraction:0<6}"[:6]))


def night_of(time: dt.datetime, site: Site) -> str:
    """Night `YYYYMMDD` of a UTC time: the local date of the evening, as it runs from local noon to local noon.

    Local time is UTC + longitude / 15 h (local mean time), or that of the site's time zone.
    """
    if site.longitude_deg is not None:
        longitude = site.longitude_deg - (360.0 if site.longitude_deg > 180.0 else 0.0)
        local = time + dt.timedelta(hours=longitude / 15.0)
    else:
        assert site.timezone is not None
        local = time.replace(tzinfo=dt.UTC).astimezone(zoneinfo.ZoneInfo(site.timezone))
    return (local - dt.timedelta(hours=12)).strftime("%Y%m%d")


def shifted(night: str, days: int) -> str:
    """The night so many days later (or earlier)."""
    return (dt.datetime.strptime(night, "%Y%m%d") + dt.timedelta(days=days)).strftime("%Y%m%d")


def iso(time: dt.datetime) -> str:
    """Time as `YYYY-MM-DDThh:mm:ss.sss`, with six decimals only where they are needed."""
    return time.isoformat(timespec="microseconds" if time.microsecond % 1000 else "milliseconds")
