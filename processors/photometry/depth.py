"""How faint an image goes and how bright its sky is, in magnitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Depth:
    """Limiting magnitude of a point source and sky brightness in mag/arcsec²; NaN where `reason` says why."""

    limiting_mag: float
    sky_mag_arcsec2: float
    reason: str = ""


def measure_depth(
    zero_point: float,
    exptime_s: float,
    level_e: float,
    sigma_e: float,
    scale_arcsec: float,
    aperture_arcsec: float,
    *,
    share: float = 1.0,
    sigmas: float = 5.0,
) -> Depth:
    """Limiting magnitude and sky brightness of an image.

    A source of F e- in an aperture of n pixels has the noise √(n σ² + F) (Howell 1989, PASP 101, 616, with the read
    noise in σ); it is `sigmas` = k above it from F = (k² + √(k⁴ + 4 k² n σ²)) / 2. With the zero point Z, the
    magnitude of 1 e-/s, and n = π (d / 2 s)² for the aperture's diameter d and the scale s in arcsec,

        limiting = Z - 2.5 log10(F / (share t))        sky = Z - 2.5 log10(level / (t s²))

    Parameters
    ----------
    zero_point : of 1 e-/s, for the whole light of a star
    level_e, sigma_e : sky and its noise per pixel, e-
    aperture_arcsec : diameter
    share : of a star's light that falls into the aperture (1 / `GrowthCurve.correction`)
    """
    numbers = {
        "zero point": zero_point,
        "exposure time": exptime_s,
        "sky": level_e,
        "noise": sigma_e,
        "scale": scale_arcsec,
        "aperture": aperture_arcsec,
        "share": share,
        "number of sigmas": sigmas,
    }
    unknown = [name for name, value in numbers.items() if not math.isfinite(value)]
    if unknown:
        return Depth(math.nan, math.nan, f"not known: {', '.join(unknown)}")
    useless = [
        name
        for name in ("exposure time", "noise", "scale", "aperture", "share", "number of sigmas")
        if not numbers[name] > 0
    ]
    if useless:
        return Depth(math.nan, math.nan, f"not above zero: {', '.join(useless)}")
    pixels = math.pi * (aperture_arcsec / 2 / scale_arcsec) ** 2
    faintest = (sigmas**2 + math.sqrt(sigmas**4 + 4 * sigmas**2 * pixels * sigma_e**2)) / 2
    limit = zero_point - 2.5 * math.log10(faintest / (share * exptime_s))
    if not level_e > 0:
        return Depth(limit, math.nan, f"the sky is {level_e:g} e-")
    return Depth(limit, zero_point - 2.5 * math.log10(level_e / (exptime_s * scale_arcsec**2)))
