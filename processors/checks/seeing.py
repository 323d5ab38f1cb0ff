"""Are the stars sharp, equally so, and round?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from processors.checks.result import CheckResult, verdict_of
from processors.checks.stars import density
from processors.checks.view import DetectorView

_ENOUGH: Final = 20  # stars among which some are always alone and fit to tell a width


def check_seeing(view: DetectorView) -> Iterator[CheckResult]:
    """FWHM of the stars (arcsec, or px without a scale), their relative scatter (focus), and ellipticity (trailed).

    Where nothing can be measured that is an error, unless the field has a few stars and is not expected to have more:
    then there is no result, and `stars` says so.
    """
    if not view.shows_stars:
        return
    seeing = view.look.seeing
    if not math.isfinite(seeing.ellipticity) and _a_poor_field(view):
        return
    arcsec = view.frame.instrument.pixel_scale_arcsec(view.frame.headers) is not None
    fwhm = seeing.fwhm_arcsec if arcsec else seeing.fwhm_px
    message = seeing.reason or f"{seeing.number} stars of {seeing.fwhm_px:.2f} ± {seeing.error_px:.2f} px"
    yield view.judge("seeing", None, fwhm, "arcsec" if arcsec else "px", "FOCUS_OOL", message)
    yield view.judge("focus", None, seeing.scatter_px / seeing.fwhm_px, "fraction", "FOCUS_OOL", seeing.reason)
    yield view.judge("ellipticity", None, seeing.ellipticity, "fraction", "ELLIP_OOL", seeing.reason)


def _a_poor_field(view: DetectorView) -> bool:
    limit = view.frame.instrument.limit("stars", view.frame.identity)
    verdict, limits = verdict_of(density(view), limit)
    return limits is not None and verdict != "error" and view.peaks.number < _ENOUGH
