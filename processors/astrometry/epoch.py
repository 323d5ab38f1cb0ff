"""When an image was taken, for proper motions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from processors.cards import Header

_J2000: Final = dt.datetime(2000, 1, 1, 12)
_DAYS: Final = 365.25
_MJD_J2000: Final = 51544.5


def epoch_of(headers: Iterable[Header]) -> float | None:
    """Julian year of DATE-OBS or MJD-OBS in the first of some headers that has a sound one; None without."""
    for header in headers:
        text, mjd = header.get("DATE-OBS"), header.get("MJD-OBS")
        if isinstance(text, str):
            try:
                when = dt.datetime.fromisoformat(text.strip()).replace(tzinfo=None)
            except ValueError:
                when = None
            if when is not None:
                return 2000 + (when - _J2000).total_seconds() / 86400 / _DAYS
        if isinstance(mjd, int | float) and not isinstance(mjd, bool) and 0 < mjd < 200_000:
            return 2000 + (mjd - _MJD_J2000) / _DAYS
    return None
