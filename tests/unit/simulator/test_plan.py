"""The plan of a night: times, numbers, sequences and places that an observer would believe."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace

import pytest

from processors.errors import ProcessorError
from processors.instrument import load_instruments
from processors.night import night_of
from processors.simulator import site
from processors.simulator.camera import READOUT_S
from processors.simulator.options import BadOptions, NightOptions
from processors.simulator.plan import PlannedExposure, plan_night

NIGHTS = ("20240229", "20251231", "20260115", "20260621")


@pytest.fixture(params=NIGHTS)
def plan(request: pytest.FixtureRequest) -> tuple[PlannedExposure, ...]:
    return plan_night(NightOptions(seed=3, night=request.param))


def test_every_exposure_belongs_to_its_night(plan: tuple[PlannedExposure, ...]) -> None:
    where = load_instruments().named("simcam").spec.site
    nights = {night_of(planned.start.replace(tzinfo=None), where) for planned in plan}
    assert nights == {plan[0].sequence[:8]}


def test_the_night_has_calibrations_by_day_and_the_sky_in_the_dark(plan: tuple[PlannedExposure, ...]) -> None:
    for planned in plan:
        sun = site.altitude_deg(*site.sun(planned.start), planned.start)
        if planned.target is None:
            assert sun > 0
        else:
            assert sun < -18
            assert 1 <= planned.airmass < 1.8


def test_no_exposure_starts_before_the_last_is_read(plan: tuple[PlannedExposure, ...]) -> None:
    for before, after in itertools.pairwise(plan):
        assert (after.start - before.start).total_seconds() >= before.exptime_s + READOUT_S


def test_exposure_numbers_run_on_and_never_meet_those_of_the_next_night() -> None:
    nights = [plan_night(NightOptions(night=night)) for night in ("20260115", "20260116")]
    numbers = [planned.expid for plan in nights for planned in plan]
    assert len(set(numbers)) == len(numbers)
    for plan in nights:
        assert [planned.expid for planned in plan] == list(range(plan[0].expid, plan[0].expid + len(plan)))
    assert numbers == sorted(numbers)


def test_sequences_count_from_one_to_their_total(plan: tuple[PlannedExposure, ...]) -> None:
    for _, group in itertools.groupby(plan, key=lambda planned: planned.sequence):
        run = list(group)
        assert [planned.num for planned in run] == list(range(1, len(run) + 1))
        assert {planned.total for planned in run} == {len(run)}
        assert len({(planned.obstype, planned.band, planned.object) for planned in run}) == 1


def test_the_plan_holds_what_was_asked_for() -> None:
    options = NightOptions(biases=3, darks=1, flats=2, standards=1, targets=2, dithers=4, filters=("g", "i", "z"))
    kinds = [planned.obstype for planned in plan_night(options)]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"bias": 3, "dark": 1, "flat": 6, "standard": 3, "science": 24}
    assert len(kinds) == options.exposures


def test_dithers_move_the_pointing_by_their_offset() -> None:
    runs = [p for p in plan_night(NightOptions(dithers=5)) if p.obstype == "science"]
    for planned in runs:
        assert planned.target is not None
        assert (planned.dec - planned.target.dec) * 3600 == pytest.approx(planned.offset[1], abs=0.02)
    assert len({planned.offset for planned in runs}) > 10


def test_seeing_and_focus_vary_within_reason() -> None:
    seeing = [p.weather.fwhm_arcsec for p in plan_night(NightOptions(seed=2, dithers=20)) if p.target is not None]
    assert len(set(seeing)) > 0.9 * len(seeing)
    assert all(0.4 < value < 2.5 for value in seeing)


def test_equal_options_give_equal_plans_and_another_seed_another() -> None:
    options = NightOptions(seed=5)
    assert plan_night(options) == plan_night(NightOptions(seed=5))
    assert plan_night(options) != plan_night(replace(options, seed=6))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"night": "20260230"}, "night"),
        ({"night": "today"}, "night"),
        ({"width": 101}, "width"),
        ({"detectors": 0}, "detectors"),
        ({"filters": ("g", "q")}, "filters"),
        ({"filters": ("g", "g")}, "filters"),
        ({"biases": -1}, "counts"),
        ({"science_s": float("nan")}, "times"),
        ({"instrument": "decam"}, "decam"),
        ({"layout": "cube"}, "cube"),
    ],
)
def test_impossible_options_are_named(changes: dict[str, object], word: str) -> None:
    with pytest.raises(BadOptions, match=word) as caught:
        replace(NightOptions(), **changes)  # type: ignore[arg-type]
    assert isinstance(caught.value, ProcessorError)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("changes", [{"darks": 200}, {"dithers": 200}])
def test_a_plan_that_does_not_fit_into_the_night_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(BadOptions, match="do not fit"):
        plan_night(replace(NightOptions(), **changes))  # type: ignore[arg-type]


def test_sun_and_stars_stand_where_astropy_sees_them() -> None:
    from astropy import units as u
    from astropy.coordinates import get_sun
    from astropy.time import Time
    from astropy.utils import iers

    when = dt.datetime(2020, 3, 5, 3, 21, 9, tzinfo=dt.UTC)
    with iers.conf.set_temp("auto_download", False):
        time = Time(when)
        sidereal = time.sidereal_time("mean", longitude=site.LONGITUDE_DEG * u.deg).deg
        sun = get_sun(time)
    assert site.sidereal_deg(when) == pytest.approx(sidereal, abs=0.01)
    assert site.sun(when) == pytest.approx((sun.ra.deg, sun.dec.deg), abs=0.5)
    assert site.mjd(when) == pytest.approx(time.mjd, abs=1e-8)


def test_airmass_is_the_secant_of_the_zenith_distance() -> None:
    assert site.airmass(90) == pytest.approx(1)
    assert site.airmass(30) == pytest.approx(2, abs=0.01)
