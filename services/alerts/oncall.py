"""Who is called at a time, and in which order."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from services.core.alert_settings import AlertSettings, OnCall, Shift

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def chain_at(oncall: OnCall, when: float) -> tuple[str, ...]:
    """Who is called, in the order of escalation. `when` is seconds since 1970 UTC.

    Shifts are read on the wall clock of the schedule's time zone: a night of 18:00-08:00 is an hour longer or shorter
    when the clocks change, and whoever has it has the whole of it.
    """
    local = dt.datetime.fromtimestamp(when, tz=zoneinfo.ZoneInfo(oncall.time_zone))
    return next((shift.chain for shift in oncall.shifts if _holds(shift, local)), oncall.default)


def quiet_at(oncall: OnCall, when: float) -> bool:
    """Whether severity 1 waits at this time."""
    if oncall.quiet_hours is None:
        return False
    local = dt.datetime.fromtimestamp(when, tz=zoneinfo.ZoneInfo(oncall.time_zone))
    return bool(_begun_on(oncall.quiet_hours, local))


def audience(settings: AlertSettings, when: float, level: int, deaf: frozenset[str]) -> tuple[str, ...]:
    """Who is to know at a level of escalation: the chain down to that person, everybody at its end.

    Parameters
    ----------
    level : int
        0: the first of the chain; one more for every `escalate_after_s` without an acknowledgement.
    deaf
        People whom no message reached: the next of the chain is told in their place.
    """
    chain = tuple(dict.fromkeys(chain_at(settings.oncall, when)))
    hearing = 0
    for index, person in enumerate(chain):
        hearing += person not in deaf
        if hearing > level:
            return chain[: index + 1]
    return (*chain, *(person for person in settings.people if person not in chain))


def overlaps(oncall: OnCall) -> list[str]:
    """One line for every two shifts that hold at the same time with other people: the first one wins."""
    found = []
    for (index, first), (other, second) in combinations(enumerate(oncall.shifts), 2):
        when = _common(first, second) if first.chain != second.chain else None
        if when is not None:
            found.append(f"shifts {index} and {other} overlap ({when:%a %Y-%m-%d %H:%M}): shift {index} wins")
    return found


def _holds(shift: Shift, local: dt.datetime) -> bool:
    return any(_dated(shift, day) for day in _begun_on(shift.hours, local))


def _dated(shift: Shift, day: dt.date) -> bool:
    if (shift.first is not None and day < shift.first) or (shift.last is not None and day > shift.last):
        return False
    return not shift.days or _DAYS[day.weekday()] in shift.days


def _begun_on(hours: str | None, local: dt.datetime) -> Sequence[dt.date]:
    """The date on which the hours that hold now began; nothing when they do not hold."""
    today, clock = local.date(), local.strftime("%H:%M")
    if hours is None:
        return [today]
    start, end = hours.split("-")
    if start < end:
        return [today] if start <= clock < end else []
    # Over midnight: since this evening, or since the evening before.
    return [today] if clock >= start else [today - dt.timedelta(days=1)] if clock < end else []


def _common(first: Shift, second: Shift) -> dt.datetime | None:
    """A time at which both hold; None when there is none. A week from the later beginning tells: days come weekly."""
    begin = max((day for day in (first.first, second.first) if day is not None), default=dt.date(2026, 1, 5))
    minutes = {"00:00"} | {part for shift in (first, second) if shift.hours for part in shift.hours.split("-")}
    for offset in range(9):
        day = begin + dt.timedelta(days=offset)
        for clock in sorted(minutes):
            local = dt.datetime.combine(day, dt.time.fromisoformat(clock))
            if _holds(first, local) and _holds(second, local):
                return local
    return None
