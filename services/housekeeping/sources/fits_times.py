"""Times of a FITS table as its header says them.

Source: Rots et al. 2015, A&A 574, A36 (representations of time coordinates in FITS): TIMESYS, MJDREF, TIMEUNIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.housekeeping.sources.fits_table import FitsTable, NoTable, card_float
from services.housekeeping.times import DAY_NS, MJD_1970
from transfer.cards import card_text

_UNIT_NS: Final = {"d": DAY_NS, "day": DAY_NS, "mjd": DAY_NS, "h": 3600 * 10**9, "s": 10**9, "ms": 10**6}
_UTC: Final = frozenset({"", "UTC", "GMT", "UNIX"})
_JD_OF_MJD: Final = 2_400_000.5
_LATEST_S: Final = 9e9


@dataclass(frozen=True)
class TimeScale:
    """A number is `step_ns` nanoseconds, counted from `zero_days` days after 1970."""

    step_ns: int
    zero_days: float


def time_scale(table: FitsTable, time: int, form: str) -> TimeScale:
    """The scale of a table's times; `form` is unix_s, unix_ms, mjd, jd, or auto: the header says it.

    Raises
    ------
    NoTable
        The times are of a scale that is not UTC, or in a unit that we do not know.
    """
    if form != "auto":
        step_ns = {"unix_s": 10**9, "unix_ms": 10**6}.get(form, DAY_NS)
        return TimeScale(step_ns, {"mjd": -MJD_1970, "jd": -MJD_1970 - _JD_OF_MJD}.get(form, 0))
    cards = table.cards
    system = card_text(cards, b"TIMESYS").upper()
    if system not in _UTC:
        raise NoTable(f"TIMESYS is {system}, not UTC: say 'time_format', if it is close enough")
    unit = (card_text(cards, b"TIMEUNIT") or table.columns[time].unit or "s").strip().lower()
    if unit not in _UNIT_NS:
        raise NoTable(f"times in {unit!r}: say 'time_format'")
    reference = card_float(cards, b"MJDREF", np.nan)
    if np.isnan(reference):
        reference = card_float(cards, b"MJDREFI", np.nan) + card_float(cards, b"MJDREFF", np.nan)
    if np.isnan(reference):
        reference = 0.0 if unit == "mjd" else float(MJD_1970)
    return TimeScale(_UNIT_NS[unit], reference - MJD_1970)


def times_ns(raw: npt.NDArray[np.float64], scale: TimeScale) -> npt.NDArray[np.object_]:
    """Nanoseconds since 1970 UTC, None where there is no time; days in 64 bits are good to about a microsecond."""
    whole = np.floor(raw)
    with np.errstate(invalid="ignore", over="ignore"):
        good = np.isfinite(raw) & (np.abs(whole * scale.step_ns / 1e9 + scale.zero_days * 86_400) < _LATEST_S)
    days = int(np.floor(scale.zero_days))
    rest_ns = (scale.zero_days - days) * DAY_NS
    out = np.full(len(raw), None, dtype=object)
    for row in np.flatnonzero(good):
        fine = round(float(raw[row] - whole[row]) * scale.step_ns + rest_ns)
        out[row] = int(whole[row]) * scale.step_ns + days * DAY_NS + fine
    return out
