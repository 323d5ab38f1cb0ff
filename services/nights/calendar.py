"""Which night has ended: a pure decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from processors.errors import UnknownInstrument
from processors.instrument import Instruments
from processors.night import night_of


def newest_over(on_record: Mapping[str, Iterable[str]], current: Mapping[str, str]) -> str | None:
    """The newest night on record that is over at every site that took frames in it; None when there is none.

    Parameters
    ----------
    on_record
        Nights (YYYYMMDD) with frames, by instrument.
    current
        The night that it is now at the site of each instrument; it is over when this is a later one.
    """
    running = {night for name, nights in on_record.items() for night in nights if night >= current[name]}
    return max((night for nights in on_record.values() for night in nights if night not in running), default=None)


def current_nights(names: Iterable[str], instruments: Instruments, now: dt.datetime) -> dict[str, str]:
    """The night that it is at a time (UTC, without a zone) at the site of each instrument.

    An instrument whose file is gone counts as being at longitude 0.
    """
    return {name: _current(name, instruments, now) for name in names}


def _current(name: str, instruments: Instruments, now: dt.datetime) -> str:
    try:
        return night_of(now, instruments.named(name).spec.site)
    except UnknownInstrument:
        return (now - dt.timedelta(hours=12)).strftime("%Y%m%d")
