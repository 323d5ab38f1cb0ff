"""Where the telescope stands: the sun, the stars overhead and the night that a moment belongs to."""

from __future__ import annotations

import datetime as dt
import math
from typing import Final

LATITUDE_DEG: Final = -30.1690
LONGITUDE_DEG: Final = -70.8065  # east positive
ALTITUDE_M: Final = 2207.0
TWILIGHT_DEG: Final = -18.0
SUNSET_DEG: Final = -0.833
_J2000: Final = dt.datetime(2000, 1, 1, 12, tzinfo=dt.UTC)


def local_noon(day: dt.date) -> dt.datetime:
    """UT of mean solar noon at the site on a calendar day: where the night of that name begins."""
    noon = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
    return noon - dt.timedelta(hours=LONGITUDE_DEG / 15)


def mjd(when: dt.datetime) -> float:
    """Modified Julian date (UTC) of a moment."""
    return 51544.5 + (when - _J2000).total_seconds() / 86400


def sidereal_deg(when: dt.datetime) -> float:
    """Local mean sidereal time in degrees (Meeus 1998, *Astronomical Algorithms*, eq. 12.4, linear terms)."""
    days = (when - _J2000).total_seconds() / 86400
    return (280.46061837 + 360.98564736629 * days + LONGITUDE_DEG) % 360


def altitude_deg(ra_deg: float, dec_deg: float, when: dt.datetime) -> float:
    """Altitude above the horizon in degrees, refraction neglected."""
    hour = math.radians(sidereal_deg(when) - ra_deg)
    dec, lat = math.radians(dec_deg), math.radians(LATITUDE_DEG)
    sine = math.sin(dec) * math.sin(lat) + math.cos(dec) * math.cos(lat) * math.cos(hour)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def azimuth_deg(ra_deg: float, dec_deg: float, when: dt.datetime) -> float:
    """Azimuth in degrees, north through east."""
    hour = math.radians(sidereal_deg(when) - ra_deg)
    dec, lat = math.radians(dec_deg), math.radians(LATITUDE_DEG)
    east = -math.cos(dec) * math.sin(hour)
    north = math.sin(dec) * math.cos(lat) - math.cos(dec) * math.sin(lat) * math.cos(hour)
    return math.degrees(math.atan2(east, north)) % 360


def airmass(altitude: float) -> float:
    """Airmass at an altitude in degrees (Young & Irvine 1967, AJ 72, 945: secant with one correction)."""
    secant = 1 / math.sin(math.radians(max(altitude, 5.0)))
    return secant * (1 - 0.0012 * (secant**2 - 1))


def sun(when: dt.datetime) -> tuple[float, float]:
    """Right ascension and declination of the sun in degrees, to 0.01° (*Astronomical Almanac*, low precision)."""
    days = (when - _J2000).total_seconds() / 86400
    anomaly = math.radians(357.528 + 0.9856003 * days)
    longitude = math.radians(280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 4e-7 * days)
    ra = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    return math.degrees(ra) % 360, math.degrees(math.asin(math.sin(obliquity) * math.sin(longitude)))


def sun_crossings(day: dt.date, altitude: float) -> tuple[dt.datetime, dt.datetime]:
    """UT at which the sun sinks below and rises above an altitude in the night of `day`, to the minute."""
    noon = local_noon(day).replace(second=0, microsecond=0)
    minutes = [noon + dt.timedelta(minutes=k) for k in range(24 * 60)]
    below = [when for when in minutes if altitude_deg(*sun(when), when) < altitude]
    return below[0], below[-1]
