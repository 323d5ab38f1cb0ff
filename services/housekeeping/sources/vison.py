"""Euclid's housekeeping: `HK_<obsid>_<ddmmyy>D<hhmmss>T_ROE1.txt`, tab-separated, with the time of day only.

The date is that of the file's name; rows after midnight belong to the next day. Blank lines and the block of statistics
that ends a file (`# …`) are no rows.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from typing import Final

from services.core.housekeep_settings import VisonSource
from services.housekeeping.directory import Directory
from services.housekeeping.sources.base import Position
from services.housekeeping.sources.textfiles import TextFiles
from services.housekeeping.table import Clock, TableFormat
from services.housekeeping.times import AHEAD_NS, DAY_NS, NS

_NAME: Final = re.compile(r"_(\d{6})D(\d{6})T(?:_|\.|$)")
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?")
_EARLY_NS: Final = 600 * NS  # a file's first row may be older than its name
_BACK_NS: Final = 3600 * NS  # how far a clock is set back at most; a later time of day than that is another day


def make_vison(name: str, settings: VisonSource, positions: Mapping[str, Position]) -> TextFiles:
    """The source of the settings."""
    form = TableFormat("\t", ("HK_timestamp",), text=settings.text, units=settings.units)
    zone = zoneinfo.ZoneInfo(settings.time_zone)
    max_age_s = None if settings.max_age_days is None else settings.max_age_days * 86_400
    return TextFiles(
        name,
        Directory(settings.dir, settings.pattern),
        form,
        lambda file, now_ns: clock_of(file, now_ns, zone),
        positions,
        settings.future_s,
        max_age_s,
    )


def clock_of(file: str, now_ns: int, zone: dt.tzinfo) -> Clock:
    """How the times of a file are read: each is the moment with this time of day that fits the row before.

    That is the first one not more than an hour before the row above (or ten minutes before the date of the name): so
    a clock may be set back by up to an hour, and a file may be silent for 23 hours. A moment that lies in the
    future is taken for a clock that was set back by more.
    """
    found = _NAME.search(file)

    def read(text: str, last: int | None) -> int:
        time = _TIME.fullmatch(text)
        if time is None:
            raise ValueError(f"{text[:40]!r} is no time of day")
        if found is None:
            raise ValueError("the name of the file has no date (…_ddmmyyDhhmmssT_…)")
        hour, minute, second, fraction = time.groups()
        of_day = (int(hour) * 3600 + int(minute) * 60 + int(second)) * NS + int((fraction or "0").ljust(9, "0"))
        if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
            raise ValueError(f"{text[:40]!r} is no time of day")
        before, back = (_local(last, zone), _BACK_NS) if last is not None else (_moment(found), _EARLY_NS)
        when = before - back + (of_day - before + back) % DAY_NS
        utc = _utc(when, zone)
        if utc > now_ns + AHEAD_NS and _utc(when - DAY_NS, zone) >= _utc(_moment(found) - _EARLY_NS, zone):
            return _utc(when - DAY_NS, zone)
        return utc

    return read


def _moment(found: re.Match[str]) -> int:
    """The date and time of a file's name, nanoseconds on the wall's clock."""
    day, clock = found.groups()
    moment = dt.datetime.strptime(f"{day[:4]}20{day[4:]} {clock}", "%d%m%Y %H%M%S").replace(tzinfo=dt.UTC)
    return int(moment.timestamp()) * NS


def _local(utc_ns: int, zone: dt.tzinfo) -> int:
    return utc_ns if _is_utc(zone) else utc_ns + _offset(dt.datetime.fromtimestamp(utc_ns / NS, zone))


def _utc(local_ns: int, zone: dt.tzinfo) -> int:
    if _is_utc(zone):
        return local_ns
    wall = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=local_ns // 1000)
    return local_ns - _offset(wall.replace(tzinfo=zone))


def _is_utc(zone: dt.tzinfo) -> bool:
    return getattr(zone, "key", "") == "UTC"


def _offset(moment: dt.datetime) -> int:
    return round((moment.utcoffset() or dt.timedelta()).total_seconds()) * NS
