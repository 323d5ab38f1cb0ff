"""When are frames expected? The night's plan, as far as a site tells it."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.conditions.sun import sun_altitude_deg
from services.core.condition_settings import HoursOfDay, NoFrameCondition

Window = tuple[float, float]  # from, to; seconds since 1970 UTC

MAX_PLAN: Final = 1 << 20
_STEP_S: Final = 60.0
_BACK_S: Final = 86_400.0


class BadPlan(Exception):
    """The plan file cannot be used: it says why, with its line."""


def read_plan(path: Path) -> list[Window]:
    """The times in a plan file: lines `START END`, UTC, ISO 8601; `#` begins a comment.

    Raises
    ------
    BadPlan
        It is not there, or a line is no such pair.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PLAN + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlan(f"{path}: cannot be read: {error}") from error
    if len(text) > MAX_PLAN:
        raise BadPlan(f"{path}: larger than {MAX_PLAN} bytes")
    windows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            start, end = (_seconds(word) for word in words)
        except ValueError as error:
            raise BadPlan(f"{path}:{number}: expected START END, both UTC in ISO 8601: {error}") from None
        if end <= start:
            raise BadPlan(f"{path}:{number}: the end is not after the start")
        windows.append((start, end))
    return windows


def _seconds(word: str) -> float:
    time = dt.datetime.fromisoformat(word)
    return (time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)).timestamp()


def expected_since(settings: NoFrameCondition, plan: Sequence[Window] | None, now: float) -> float | None:
    """Since when frames are expected, seconds since 1970 UTC; None when none are, or nothing tells.

    Looks back a day at most, in steps of a minute where the sun or the hours decide.
    """
    if plan is not None:
        starts = [start for start, end in plan if start <= now < end]
        return min(starts, default=None)
    if not settings.hours and settings.place is None:
        return None
    since, time = None, now
    while now - time <= _BACK_S and _holds(settings, time):
        since, time = time, time - _STEP_S
    return since


def _holds(settings: NoFrameCondition, time: float) -> bool:
    if settings.hours:
        clock = dt.datetime.fromtimestamp(time, zoneinfo.ZoneInfo(settings.time_zone)).strftime("%H:%M")
        return any(_within(part, clock) for part in settings.hours)
    assert settings.place is not None
    altitude = sun_altitude_deg(time, settings.place.longitude_deg, settings.place.latitude_deg)
    return altitude < settings.sun_below_deg


def _within(part: HoursOfDay, clock: str) -> bool:
    if part.end <= part.start:
        return clock >= part.start or clock < part.end
    return part.start <= clock < part.end
