"""Nights and the times they come from."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import BadFrame
from processors.instrument_schema import Site
from processors.night import iso, night_of, parse_time

CTIO = Site(longitude_deg=-70.806525)


def test_a_night_ends_at_local_noon_by_the_longitude() -> None:
    noon = dt.datetime(2022, 1, 27, 12) + dt.timedelta(hours=70.806525 / 15)
    assert night_of(noon - dt.timedelta(seconds=1), CTIO) == "20220126"
    assert night_of(noon, CTIO) == "20220127"


def test_a_time_zone_follows_daylight_saving() -> None:
    chile = Site(timezone="America/Santiago")
    assert night_of(dt.datetime(2022, 1, 27, 14, 59), chile) == "20220126"  # UTC-3 in summer
    assert night_of(dt.datetime(2022, 1, 27, 15, 0), chile) == "20220127"
    assert night_of(dt.datetime(2022, 7, 27, 15, 59), chile) == "20220726"  # UTC-4 in winter


def test_longitudes_may_count_eastwards_to_360() -> None:
    time = dt.datetime(2022, 1, 27, 3)
    assert night_of(time, Site(longitude_deg=360 - 70.8)) == night_of(time, Site(longitude_deg=-70.8)) == "20220126"


@given(
    st.datetimes(dt.datetime(1980, 1, 2), dt.datetime(2100, 1, 1)),
    st.floats(-180, 180),
    st.floats(0, 24, exclude_max=True),
)
def test_every_moment_of_a_night_has_its_name(day: dt.datetime, longitude: float, hours: float) -> None:
    noon = dt.datetime(day.year, day.month, day.day, 12) - dt.timedelta(hours=longitude / 15)
    time = noon + dt.timedelta(seconds=1) + dt.timedelta(hours=hours) * (86398 / 86400)
    assert night_of(time, Site(longitude_deg=longitude)) == f"{day:%Y%m%d}"


@pytest.mark.parametrize(
    ("text", "form", "time"),
    [
        ("2022-01-26T19:02:38.210", "iso", "2022-01-26T19:02:38.210"),
        ("2022-01-26 19:02:38", "iso", "2022-01-26T19:02:38.000"),
        ("2016-12-31T23:59:60.5", "iso", "2017-01-01T00:00:00.500"),
        ("2022-01-26T19:02:38.123456789Z", "iso", "2022-01-26T19:02:38.123456"),
        ("59605.5", "mjd", "2022-01-26T12:00:00.000"),
        ("251116D150614T", "%d%m%yD%H%M%ST", "2016-11-25T15:06:14.000"),
    ],
)
def test_times_in_their_formats(text: str, form: str, time: str) -> None:
    assert iso(parse_time(text, form)) == time


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("0001-01-01T00:00:00", "iso"),
        ("2022-01-26", "iso"),
        ("26/01/22", "iso"),
        ("2022-13-01T00:00:00", "iso"),
        ("yesterday", "iso"),
        ("1e300", "mjd"),
        ("nan", "mjd"),
        ("0", "mjd"),
    ],
)
def test_strange_times_are_bad_frames(text: str, form: str) -> None:
    with pytest.raises(BadFrame, match="time of observation"):
        parse_time(text, form)
