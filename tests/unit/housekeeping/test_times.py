"""Times as files write them, and the order of rows."""

from __future__ import annotations

import contextlib
import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.housekeeping.ordering import Sequencer
from services.housekeeping.times import time_parser

DAY = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2100, 1, 1))


@pytest.mark.parametrize(
    ("form", "text", "ns"),
    [
        ("iso", "2026-01-15 00:00:00", 1768435200 * 10**9),
        ("iso", "2026-01-15T00:00:00.123456789Z", 1768435200 * 10**9 + 123456789),
        ("iso", "2026-01-15T02:00:00+02:00", 1768435200 * 10**9),
        ("unix_s", "1768435200.000000001", 1768435200 * 10**9 + 1),
        ("unix_ms", "1768435200001", 1768435200001 * 10**6),
        ("unix_ns", "1768435200000000001", 1768435200 * 10**9 + 1),
        ("mjd", "61055.5", 1768478400 * 10**9),
        ("strptime:%d/%m/%y %H:%M", "15/01/26 00:00", 1768435200 * 10**9),
    ],
)
def test_formats(form: str, text: str, ns: int) -> None:
    assert time_parser(form)(text, None) == ns


@pytest.mark.parametrize("form", ["iso", "unix_s", "unix_ms", "unix_ns", "mjd", "strptime:%H"])
@given(text=st.text(max_size=30) | st.sampled_from(["nan", "inf", "1e99", "9" * 30, "٣", "1_0", "-1e12", "0001-01-01"]))
def test_no_text_does_more_than_be_refused(form: str, text: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        assert abs(time_parser(form)(text, None)) < 2**63


@given(DAY)
def test_iso_is_exact(moment: dt.datetime) -> None:
    expected = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1) * 1000
    assert time_parser("iso")(moment.isoformat(), None) == expected


def test_the_hour_that_stands_twice_on_the_clock() -> None:
    read = time_parser("iso", "Europe/Berlin")
    first = read("2026-10-25 02:30:00", None)
    second = read("2026-10-25 02:30:00", first + 10**9)
    assert second - first == 3600 * 10**9
    assert read("2026-10-25 02:45:00", second) == second + 900 * 10**9


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from("ab")), max_size=30), st.integers(0, 30))
def test_rows_get_times_of_their_own_across_restarts(rows: list[tuple[int, str]], cut: int) -> None:
    once, often = Sequencer(), Sequencer()
    placed = [once.place(when * 1000, text) for when, text in rows]
    found = []
    for number, (when, text) in enumerate(rows):
        if number == cut:
            often = Sequencer(often.state())
        found.append(often.place(when * 1000, text))
    assert found == placed
    if all(a <= b for (a, _), (b, _) in pairwise(rows)):
        kept = [time for time in placed if time is not None]
        assert len(kept) == len(set(kept)) == len(set(rows))
