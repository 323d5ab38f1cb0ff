"""Times in whatever way a program has them, as nanoseconds since 1970 UTC."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ServiceError

_LAST_SECOND: Final = 9_223_372_035
_LAST_NS: Final = _LAST_SECOND * 10**9
# Whole numbers below this many nanoseconds (March 1973) can only be seconds, milli- or microseconds that were taken for
# nanoseconds.
_NO_NANOSECONDS: Final = 10**17
_FINE: Final = ("ns", "ps", "fs", "as", "generic")  # in these, 64 bits cannot say a time that is too far off


class BadPoints(ServiceError):
    """Values, times or tags that make no points: mend the call."""

    exit_code = 4


def times_of(timestamps: Any, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times in nanoseconds since 1970 UTC, shape (count,), and which of them are there (no NaN, no NaT).

    Parameters
    ----------
    timestamps
        One for all values or one for each: floats are seconds since 1970 UTC, whole numbers nanoseconds; datetime64,
        `datetime` or an astropy `Time` (any scale, turned into UTC).

    Raises
    ------
    BadPoints
        Another number of times than of values, times out of range, or whole numbers that must be meant as seconds.
    """
    if hasattr(timestamps, "scale") and hasattr(timestamps, "utc"):
        timestamps = timestamps.utc.datetime64
    given: Any = np.True_
    if isinstance(timestamps, np.ma.MaskedArray):
        given = ~np.atleast_1d(np.ma.getmaskarray(timestamps))
        timestamps = timestamps.data
    try:
        array = np.atleast_1d(np.asarray(timestamps))
    except ValueError as error:
        raise BadPoints(f"timestamps: {error}") from None
    if array.dtype.kind == "O":
        array = _of_datetimes(array)
    if array.ndim != 1 or array.size not in (1, count):
        raise BadPoints(f"timestamps: expected one, or {count} as there are values, got shape {array.shape}")
    kind = array.dtype.kind
    if kind not in "fMiu":
        raise BadPoints(f"timestamps: expected seconds, datetime64, nanoseconds or a Time, got {array.dtype}")
    times, there = _of_seconds(array) if kind == "f" else _of_dates(array) if kind == "M" else _of_nanoseconds(array)
    return np.broadcast_to(times, (count,)), np.broadcast_to(there & given, (count,))


_Times = tuple[NDArray[np.int64], NDArray[np.bool_]]


def _of_seconds(array: NDArray[Any]) -> _Times:
    if array.dtype.itemsize < 8:
        raise BadPoints(f"timestamps: {array.dtype} tells seconds since 1970 to two minutes only; give float64")
    there = np.isfinite(array)
    seconds = np.where(there, array, 0.0).astype(np.float64)
    whole = np.floor(seconds)
    if np.abs(whole).max(initial=0.0) > _LAST_SECOND:
        raise BadPoints("timestamps: floats are seconds since 1970; these are beyond the years 1678 to 2261")
    # The fraction apart: seconds times 1e9 would be off by up to 128 ns.
    return whole.astype(np.int64) * 10**9 + np.rint((seconds - whole) * 1e9).astype(np.int64), there


def _of_dates(array: NDArray[Any]) -> _Times:
    there = ~np.isnat(array)
    if np.datetime_data(array.dtype)[0] not in _FINE:
        known = array[there]
        first, last = (np.datetime64(day).astype(array.dtype) for day in ("1678-01-01", "2262-01-01"))
        if (known < first).any() or (known > last).any():
            raise BadPoints("timestamps: beyond the years 1678 to 2261, which nanoseconds can say")
    return array.astype("datetime64[ns]").astype(np.int64), there


def _of_nanoseconds(array: NDArray[Any]) -> _Times:
    small = np.abs(array.astype(np.float64)) < _NO_NANOSECONDS
    if small.any():
        raise BadPoints(
            f"timestamps: whole numbers are nanoseconds since 1970, and {array[small][0]} is too small for that; "
            "give seconds as floats"
        )
    if array.size and int(np.abs(array.astype(np.float64)).max()) > _LAST_NS:
        raise BadPoints("timestamps: beyond the years 1678 to 2261, which nanoseconds can say")
    return array.astype(np.int64), np.ones(array.shape, dtype=bool)


def _of_datetimes(array: NDArray[Any]) -> NDArray[Any]:
    """`datetime` objects without their zones (one that has none is UTC)."""

    def utc(item: Any) -> Any:
        offset = item.utcoffset()
        return item if offset is None else item.replace(tzinfo=None) - offset

    try:
        return np.array([utc(item) for item in array.tolist()], dtype="datetime64[us]")
    except (AttributeError, TypeError, ValueError):
        raise BadPoints("timestamps: expected seconds, datetime64, nanoseconds or a Time") from None
