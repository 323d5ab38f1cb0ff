"""The plan of a night: what is exposed when, where and for how long. A pure function of the options."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.simulator import site
from processors.simulator.camera import READOUT_S, Camera, build_camera
from processors.simulator.faults import Fault
from processors.simulator.options import BadOptions, NightOptions
from processors.simulator.projection import from_plane
from processors.simulator.seeds import Stream, generator
from processors.simulator.sky import PIXEL_SCALE_ARCSEC
from processors.simulator.weather import Weather, dimm_series, weather

OVERHEAD_S: Final = READOUT_S + 8.0  # between the end of an exposure and the start of the next
SEQUENCE_OVERHEAD_S: Final = 60.0
SLEW_S: Final = 120.0
DITHER_ARCSEC: Final = 20.0
STANDARD_R_MAG: Final = 14.8
_CALIBRATIONS_END_BEFORE_SUNSET: Final = dt.timedelta(minutes=30)
_FIRST_EXPID_DAY: Final = dt.date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Target:
    """A field on the sky: number of its catalogue, name, centre in degrees, r magnitude of a standard at its centre."""

    field: int
    name: str
    ra: float
    dec: float
    standard_mag: float | None = None


@dataclass(frozen=True, slots=True)
class PlannedExposure:
    """One exposure of the plan.

    `start` is the opening of the shutter (UTC, to the millisecond), `hours` the same since local noon, `ra` and `dec`
    where the optical axis points (degrees), `offset` the dither in arcsec east and north, `airmass` that of the middle
    of the exposure. `faults` are those of its files.
    """

    expid: int
    obstype: str
    object: str
    band: str | None
    exptime_s: float
    start: dt.datetime
    hours: float
    sequence: str
    num: int
    total: int
    target: Target | None
    ra: float
    dec: float
    offset: tuple[float, float]
    airmass: float
    weather: Weather
    faults: tuple[Fault, ...] = ()

    @property
    def middle(self) -> dt.datetime:
        """The middle of the exposure, UTC."""
        return self.start + dt.timedelta(seconds=self.exptime_s / 2)

    @property
    def end(self) -> dt.datetime:
        """When the file is on the disk: shutter closed, detectors read."""
        return self.start + dt.timedelta(seconds=self.exptime_s + READOUT_S)


@dataclass(frozen=True, slots=True)
class _Step:
    obstype: str
    object: str
    band: str | None
    exptime_s: float
    target: Target | None = None
    offset: tuple[float, float] = (0.0, 0.0)


def plan_night(options: NightOptions) -> tuple[PlannedExposure, ...]:
    """Plan a night: biases, darks and dome flats before sunset, standards and dithers between the twilights.

    Raises
    ------
    BadOptions
        The exposures asked for do not fit between noon and sunset, or into the darkness.
    """
    rng = generator(Stream.PLAN, options.seed, int(options.night))
    sunset, _ = site.sun_crossings(options.date, site.SUNSET_DEG)
    dusk, dawn = site.sun_crossings(options.date, site.TWILIGHT_DEG)
    afternoon = _calibrations(options)
    starts = _starts(afternoon, SEQUENCE_OVERHEAD_S)
    length = starts[-1] if starts else 0.0
    begin = sunset - _CALIBRATIONS_END_BEFORE_SUNSET - dt.timedelta(seconds=length)
    if begin < site.local_noon(options.date):
        raise BadOptions(f"{length / 3600:.1f} h of calibrations do not fit between local noon and sunset")
    jitter = dt.timedelta(milliseconds=int(rng.integers(0, 60_000)))
    times = [begin + dt.timedelta(seconds=second) + jitter for second in starts[:-1]]
    night = _sky_sequences(options, rng, dusk)
    seconds = _starts(night, SLEW_S)
    first = dusk + dt.timedelta(minutes=5) + jitter
    if night and first + dt.timedelta(seconds=seconds[-1]) > dawn:
        raise BadOptions(f"{seconds[-1] / 3600:.1f} h of exposures do not fit into the darkness of {options.night}")
    times += [first + dt.timedelta(seconds=second) for second in seconds[:-1]]
    camera = build_camera(options)
    return _expose(options, camera, [*afternoon, *night], times)


def expid_base(date: dt.date) -> int:
    """Exposure number before a night's first: a thousand for every day since 2000, so that no two nights share one."""
    return (date - _FIRST_EXPID_DAY).days * 1000


def _calibrations(options: NightOptions) -> list[list[_Step]]:
    runs = [
        [_Step("bias", "bias", None, 0.0)] * options.biases,
        [_Step("dark", "dark", None, options.dark_s)] * options.darks,
    ]
    runs += [[_Step("flat", f"dome flat {b}", b, options.flat_s)] * options.flats for b in options.filters]
    return [run for run in runs if run]


def _sky_sequences(options: NightOptions, rng: np.random.Generator, dusk: dt.datetime) -> list[list[_Step]]:
    """Standards first, then dithers, target by target and filter by filter, each field near the meridian."""
    runs: list[list[_Step]] = []
    per_target = len(options.filters) * (options.dithers * (options.science_s + OVERHEAD_S) + SLEW_S)
    elapsed = 0.0
    if options.standards and options.filters:
        ra, dec = _field_centre(rng, dusk)
        star = Target(0, f"STD {_designation(ra, dec)}", ra, dec, STANDARD_R_MAG)
        runs += [
            [_Step("standard", star.name, b, options.standard_s, star)] * options.standards for b in options.filters
        ]
        elapsed = len(options.filters) * (options.standards * (options.standard_s + OVERHEAD_S) + SLEW_S)
    for number in range(1, options.targets + 1):
        ra, dec = _field_centre(rng, dusk + dt.timedelta(seconds=elapsed + per_target / 2))
        target = Target(number, f"NF {_designation(ra, dec)}", ra, dec)
        for band in options.filters:
            offsets = [_dither(rng, index) for index in range(options.dithers)]
            runs.append([_Step("science", target.name, band, options.science_s, target, offset) for offset in offsets])
        elapsed += per_target
    return [run for run in runs if run]


def _field_centre(rng: np.random.Generator, when: dt.datetime) -> tuple[float, float]:
    """A place within two hours of the meridian and 35 degrees of the zenith's declination."""
    ra = (site.sidereal_deg(when) + rng.uniform(-25, 30)) % 360
    return round(float(ra), 5), round(float(site.LATITUDE_DEG + rng.uniform(-30, 30)), 5)


def _designation(ra: float, dec: float) -> str:
    hours, degrees = int(ra / 15 * 60), int(abs(dec) * 60)
    return f"J{hours // 60:02d}{hours % 60:02d}{'+' if dec >= 0 else '-'}{degrees // 60:02d}{degrees % 60:02d}"


def _dither(rng: np.random.Generator, index: int) -> tuple[float, float]:
    """Offset in arcsec east and north: the centre first, then points round it at the golden angle."""
    if index == 0:
        return 0.0, 0.0
    angle, radius = 2.39996 * index + rng.normal(0, 0.1), DITHER_ARCSEC * (0.6 + 0.4 * rng.random())
    return round(float(radius * math.cos(angle)), 2), round(float(radius * math.sin(angle)), 2)


def _starts(runs: list[list[_Step]], between_s: float) -> list[float]:
    """Seconds from the beginning to the start of every exposure, and to the end of all of them as the last item."""
    starts, now = [], 0.0
    for run in runs:
        for step in run:
            starts.append(now)
            now += step.exptime_s + OVERHEAD_S
        now += between_s
    return [*starts, now] if starts else []


def _expose(
    options: NightOptions, camera: Camera, runs: list[list[_Step]], times: list[dt.datetime]
) -> tuple[PlannedExposure, ...]:
    """Give every step its number, its place in the sequence, its pointing and its weather."""
    rng = generator(Stream.WEATHER, options.seed, int(options.night))
    seeing = dimm_series(rng, len(times))
    noon, base = site.local_noon(options.date), expid_base(options.date)
    planned: list[PlannedExposure] = []
    for number, run in enumerate(runs, start=1):
        for index, step in enumerate(run, start=1):
            count = len(planned)
            start = times[count]
            middle = start + dt.timedelta(seconds=step.exptime_s / 2)
            ra, dec = _pointing(camera, step, middle)
            airmass = 1.0 if step.target is None else site.airmass(site.altitude_deg(ra, dec, middle))
            hours = (start - noon).total_seconds() / 3600
            conditions = weather(rng, hours, seeing[count], airmass, step.band if step.target else None)
            name = f"{options.night}-{number:02d}-{step.obstype}{'-' + step.band if step.band else ''}"
            planned.append(
                PlannedExposure(
                    base + count + 1,
                    step.obstype,
                    step.object,
                    step.band,
                    step.exptime_s,
                    start,
                    hours,
                    name,
                    index,
                    len(run),
                    step.target,
                    ra,
                    dec,
                    step.offset,
                    round(airmass, 4),
                    conditions,
                    tuple(fault for fault in options.faults if fault.of_frames and fault.exposure == count + 1),
                )
            )
    return tuple(planned)


def _pointing(camera: Camera, step: _Step, when: dt.datetime) -> tuple[float, float]:
    """Where the optical axis points: target plus dither; a standard goes to the middle of the first detector."""
    if step.target is None:
        return round(site.sidereal_deg(when), 6), round(site.LATITUDE_DEG, 6)  # parked at the zenith
    east, north = step.offset[0] / 3600, step.offset[1] / 3600
    if step.target.standard_mag is not None:
        first = camera.detectors[0]
        scale = PIXEL_SCALE_ARCSEC / 3600
        east, north = scale * first.centre_x, -scale * first.centre_y
    ra, dec = from_plane(np.array([east]), np.array([north]), step.target.ra, step.target.dec)
    return round(float(ra[0]), 7), round(float(dec[0]), 7)
