"""Is the exposure time one that this obstype can have?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult, Verdict
from processors.checks.view import of_file
from processors.fits import Frame

_LIT = frozenset({"flat", "skyflat", "science", "standard", "arc", "focus"})
_LONGEST_S = 24 * 3600


def check_exposure_type(frame: Frame) -> Iterator[CheckResult]:
    """Exposure time in seconds: 0 for a bias, more for everything else, less than a day."""
    kind, exptime_s = frame.identity.obstype, frame.identity.exptime_s
    verdict: Verdict = "ok"
    message = ""
    if kind == "bias" and exptime_s > 0:
        verdict, message = "error", f"a bias of {exptime_s:g} s"
    elif kind in _LIT | {"dark"} and exptime_s <= 0:
        verdict, message = "error", f"a {kind} of no exposure time"
    elif exptime_s > _LONGEST_S:
        verdict, message = "error", f"an exposure of {exptime_s:g} s"
    elif kind == "unknown":
        verdict, message = "warning", "the instrument file knows no obstype for it"
    yield of_file(frame, "exposure_type", exptime_s, "s", verdict, "EXPTYPE", message)
