"""When frames are expected: sun, hours, a plan file; and the silence of a camera."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conditions.expected import BadPlan, expected_since, read_plan
from services.conditions.sun import sun_altitude_deg
from services.conditions.transfer import Camera, decide_camera
from services.core.condition_settings import HoursOfDay, NoFrameCondition, Place

TOLOLO = Place(longitude_deg=-70.8065, latitude_deg=-30.1690)


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def test_the_sun_is_where_astropy_puts_it() -> None:
    from astropy.coordinates import AltAz, EarthLocation, get_sun
    from astropy.time import Time
    from astropy.utils import iers

    times = [at("2026-01-15T00:00:00") + 3 * 86_400.0 * n + 4321.0 * n for n in range(120)]
    place = EarthLocation.from_geodetic(TOLOLO.longitude_deg, TOLOLO.latitude_deg, 0.0)
    # however old astropy's tables of the Earth's rotation are: they are good for far more than is asked here
    kept = {"auto_download": False, "auto_max_age": None, "iers_degraded_accuracy": "ignore"}
    with contextlib.ExitStack() as held:
        for name, value in kept.items():
            held.enter_context(iers.conf.set_temp(name, value))
        when = Time(times, format="unix")
        truth = get_sun(when).transform_to(AltAz(obstime=when, location=place)).alt.deg
    ours = [sun_altitude_deg(time, TOLOLO.longitude_deg, TOLOLO.latitude_deg) for time in times]
    assert max(abs(a - b) for a, b in zip(ours, truth, strict=True)) < 0.05


def test_frames_are_expected_from_the_end_of_twilight_to_its_beginning() -> None:
    settings = NoFrameCondition(place=TOLOLO)
    assert expected_since(settings, None, at("2026-01-15T18:00:00")) is None
    since = expected_since(settings, None, at("2026-01-16T04:00:00"))
    assert since is not None and at("2026-01-16T00:40:00") < since < at("2026-01-16T01:10:00")
    assert expected_since(settings, None, at("2026-01-16T10:30:00")) is None


def test_hours_of_the_day_span_midnight_and_come_before_the_sun() -> None:
    hours = (HoursOfDay(start="20:00", end="06:00"),)
    settings = NoFrameCondition(hours=hours, time_zone="America/Santiago", place=TOLOLO)
    assert expected_since(settings, None, at("2026-01-16T03:30:00")) == pytest.approx(at("2026-01-15T23:00:00"), abs=61)
    assert expected_since(settings, None, at("2026-01-16T09:30:00")) is None


def test_hours_that_end_where_they_begin_are_the_whole_day() -> None:
    settings = NoFrameCondition(hours=(HoursOfDay(start="08:00", end="08:00"),))
    for clock in ("03:00", "07:59", "08:00", "21:00"):
        assert expected_since(settings, None, at(f"2026-01-15T{clock}:00")) is not None


def test_without_a_place_or_hours_nothing_is_expected() -> None:
    assert expected_since(NoFrameCondition(), None, at("2026-01-16T04:00:00")) is None


def test_a_plan_file_decides_where_there_is_one(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    plan.write_text(
        "# night 20260115\n2026-01-16T01:00:00Z 2026-01-16T05:00:00Z   # survey\n\n2026-01-16T06:00 2026-01-16T08:00\n"
    )
    windows = read_plan(plan)
    settings = NoFrameCondition(plan=plan, place=TOLOLO)
    assert expected_since(settings, windows, at("2026-01-16T03:00:00")) == at("2026-01-16T01:00:00")
    assert expected_since(settings, windows, at("2026-01-16T05:30:00")) is None


@pytest.mark.parametrize("text", ["tonight\n", "2026-01-16T01:00:00 2026-01-16T00:00:00\n", "a b c\n", "\xff\n"])
def test_a_bad_plan_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    plan = tmp_path / "plan"
    plan.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadPlan, match="plan"):
        read_plan(plan)


@given(st.binary(max_size=300))
def test_any_plan_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    plan = tmp_path_factory.getbasetemp() / "any-plan"
    plan.write_bytes(data)
    with contextlib.suppress(BadPlan):
        assert all(end > start for start, end in read_plan(plan))


SETTINGS = NoFrameCondition(after_s=1800.0)


def test_a_camera_is_silent_only_while_frames_are_expected() -> None:
    now = 100_000.0
    assert decide_camera(Camera(now - 9000.0), SETTINGS, now) == []
    (found,) = decide_camera(Camera(now - 3000.0, 10.0, now - 9000.0), SETTINGS, now)
    assert (found.alert, found.severity) == ("transfer:no_frame", 2) and "50 min" in found.message
    # the patience counts from when frames are expected, and a long exposure is waited for
    assert decide_camera(Camera(now - 90_000.0, 10.0, now - 1000.0), SETTINGS, now) == []
    assert decide_camera(Camera(now - 3000.0, 1300.0, now - 9000.0), SETTINGS, now) == []
    assert len(decide_camera(Camera(None, 0.0, now - 9000.0), SETTINGS, now)) == 1


def test_a_muted_camera_is_off() -> None:
    assert decide_camera(Camera(1000.0, 10.0, 1000.0, off=True), SETTINGS, 90_000.0) == []


def test_a_sequence_in_progress_is_waited_for_until_it_was_given_up() -> None:
    progress = Camera(0.0, 60.0, None, "ladder (3 of 10)")
    (found,) = decide_camera(progress, SETTINGS, 4000.0)
    assert found.severity == 1 and "ladder (3 of 10) is in progress" in found.message
    assert decide_camera(progress, SETTINGS, 30_000.0) == []


def test_a_plan_that_cannot_be_read_is_a_condition() -> None:
    (found,) = decide_camera(Camera(0.0, plan_fault="plan:3: no"), SETTINGS, 4000.0)
    assert found.alert == "transfer:plan" and "plan:3" in found.message
