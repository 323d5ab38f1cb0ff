"""As many stars as there should be?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView

_SLOPE: Final = (
    0.3  # of log10 N against magnitude at 15 to 20 mag, high latitudes (Bahcall & Soneira 1980, ApJS 44, 73)
)
_EXPTIME_S: Final = 60.0


def check_stars(view: DetectorView) -> Iterator[CheckResult]:
    """Starlike peaks 10 σ above the sky per square arcmin (10⁶ px without a scale), scaled to 60 s: clouds, shutter.

    Against the sky's noise the limit goes 1.25 log10 t mag deeper, so N grows as t to the power 0.3 × 1.25.
    """
    if not view.shows_stars:
        return
    number, sky = view.peaks.number, view.look.sky
    unit = "1/Mpx" if _scale(view) is None else "1/arcmin2"
    message = sky.reason or f"{number} in {view.frame.identity.exptime_s:g} s"
    if sky.number and not math.isfinite(view.look.seeing.ellipticity):
        message += f"; no seeing: {view.look.seeing.reason}"
    yield view.judge("stars", None, density(view), unit, "FLUX_OOL", message)


def density(view: DetectorView) -> float:
    """Stars per square arcmin (10⁶ px) in 60 s; NaN without an exposure time or a sky."""
    exptime_s, scale = view.frame.identity.exptime_s, _scale(view)
    if not (exptime_s > 0 and view.look.sky.number > 0):
        return math.nan
    pixels = math.prod(view.setup.shape)
    area = pixels / 1e6 if scale is None else pixels * (scale / 60) ** 2
    return view.peaks.number / area * math.pow(_EXPTIME_S / exptime_s, 1.25 * _SLOPE)


def _scale(view: DetectorView) -> float | None:
    return view.frame.instrument.pixel_scale_arcsec(view.frame.headers)
