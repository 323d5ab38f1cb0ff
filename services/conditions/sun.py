"""The sun's altitude, for knowing when it is night."""

from __future__ import annotations

import math
from typing import Final

_J2000_S: Final = 946_728_000.0  # 2000-01-01T12:00:00 UTC, seconds since 1970
_DAY_S: Final = 86_400.0


def sun_altitude_deg(time_s: float, longitude_deg: float, latitude_deg: float) -> float:
    """Altitude of the sun's centre above the horizon in degrees, without refraction.

    Good to 0.05 degrees between 1950 and 2050: the Sun's low-precision formulae of the Astronomical Almanac, page C5.

    Parameters
    ----------
    time_s : float
        Seconds since 1970 UTC.
    longitude_deg : float
        East positive.
    """
    days = (time_s - _J2000_S) / _DAY_S
    mean_longitude = 280.460 + 0.985_647_4 * days
    anomaly = math.radians(357.528 + 0.985_600_3 * days)
    ecliptic = math.radians(mean_longitude + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 4e-7 * days)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    # Greenwich mean sidereal time, Almanac page B8, in degrees.
    sidereal = math.radians(280.460_62 + 360.985_647_37 * days + longitude_deg)
    hour_angle = sidereal - right_ascension
    latitude = math.radians(latitude_deg)
    sine = math.sin(latitude) * math.sin(declination)
    sine += math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))
