"""As many stars as there should be?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView

_SLOPE: Final = 0.3  # of log10 N against magnitude at 15 to 20 mag, high latitudes (Bahcall & Soneira 1980, ApJS 44, 73)
_EXPTIME_S: Final = 60.0


def check_stars(view: DetectorView) -> Iterator[CheckResult]:
    """Starlike peaks 10 σ above the sky per square arcmin (10⁶ px without a scale), scaled to 60 s: clouds, shutter.

    Against the sky's noise the limit goes 1.25 log10 t mag deeper, so N grows as t to the power 0.3 × 1.25.
    """
    if not view.shows_stars:
        return
    exptime_s, number = view.frame.identity.exptime_s, view.peaks.number
    scale = view.frame.instrument.pixel_scale_arcsec(view.frame.headers)
    pixels = math.prod(view.setup.shape)
    area = pixels / 1e6 if scale is None else pixels * (scale / 60) ** 2
    known = exptime_s > 0 and view.look.sky.number > 0
    value = number / area * (_EXPTIME_S / exptime_s) ** (1.25 * _SLOPE) if known else math.nan
    unit = "1/Mpx" if scale is None else "1/arcmin2"
    yield view.judge("stars", None, value, unit, "FLUX_OOL", view.look.sky.reason or f"{number} in {exptime_s:g} s")
