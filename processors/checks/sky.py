"""How bright is the sky, and how even?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from processors.checks.result import CheckResult
from processors.checks.view import LEAST_SIDE, ON_SKY, DetectorView

_LEAST_E: Final = 100.0  # sky below which a gradient in parts of it says nothing


def check_sky(view: DetectorView) -> Iterator[CheckResult]:
    """Sky of an image in e-/s per pixel, and its gradient from corner to corner in parts of it (above 100 e-)."""
    identity = view.frame.identity
    if identity.obstype not in ON_SKY or identity.mode != "imaging" or not view.has_overscan:
        return
    sky = view.look.sky
    rate = sky.level_e / identity.exptime_s if identity.exptime_s > 0 else math.nan
    yield view.judge("sky_level", None, rate, "e-/s", "BGD_OOL", sky.reason)
    if min(view.setup.shape) >= 2 * LEAST_SIDE and not sky.level_e < _LEAST_E:
        # a corner of the field that nothing tells is an error, as any other value that is not a number
        yield view.judge("sky_gradient", None, sky.gradient_e / sky.level_e, "fraction", "BGD_OOL", sky.reason)
