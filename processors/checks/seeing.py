"""Are the stars sharp, equally so, and round?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView


def check_seeing(view: DetectorView) -> Iterator[CheckResult]:
    """FWHM of the stars (arcsec, or px without a scale), their relative scatter (focus), and ellipticity (trailed).

    A field in which none of it can be measured is an error.
    """
    if not view.shows_stars:
        return
    seeing = view.look.seeing
    arcsec = view.frame.instrument.pixel_scale_arcsec(view.frame.headers) is not None
    fwhm = seeing.fwhm_arcsec if arcsec else seeing.fwhm_px
    message = seeing.reason or f"{seeing.number} stars of {seeing.fwhm_px:.2f} ± {seeing.error_px:.2f} px"
    yield view.judge("seeing", None, fwhm, "arcsec" if arcsec else "px", "FOCUS_OOL", message)
    yield view.judge("focus", None, seeing.scatter_px / seeing.fwhm_px, "fraction", "FOCUS_OOL", seeing.reason)
    yield view.judge("ellipticity", None, seeing.ellipticity, "fraction", "ELLIP_OOL", seeing.reason)
