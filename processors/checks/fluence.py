"""Are flats bright enough, not too bright, and even?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult
from processors.checks.view import FLATS, LEAST_SIDE, DetectorView
from processors.photometry.sky import measure_sky


def check_fluence(view: DetectorView) -> Iterator[CheckResult]:
    """Median of every amplifier of a flat in parts of saturation, and an image's gradient from corner to corner."""
    identity = view.frame.identity
    if identity.obstype not in FLATS or not view.has_overscan:
        return
    for amplifier in view.setup.amplifiers:
        level = view.data_levels[amplifier.name]
        message = f"{level:.5g} e-"
        full = amplifier.saturation_adu * amplifier.gain_e_adu
        yield view.judge("fluence", amplifier, level / full, "fraction", "FLUENCE_OOL", message)
    if identity.mode == "imaging" and min(view.setup.shape) >= 2 * LEAST_SIDE:
        light = measure_sky(view.calibrated.sci, view.calibrated.mask)
        gradient = light.gradient_e / light.level_e if light.level_e > 0 else float("nan")
        yield view.judge("fluence_gradient", None, gradient, "fraction", "FLUENCEGRAD_OOL", light.reason)
