"""Does the frame hold what its obstype says?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processors.checks.result import CheckResult
from processors.checks.view import FLATS, LEAST_SIDE, UNLIT, DetectorView

_STARS: Final = 10  # starlike peaks that make a field of them


def check_content(view: DetectorView) -> Iterator[CheckResult]:
    """Median of the detector above the overscan, e-: a bias or dark with light or stars in it, a flat without."""
    kind = view.frame.identity.obstype
    if kind not in UNLIT | FLATS or not view.has_overscan:
        return
    levels = view.data_levels.values()
    # the amplifier that is farthest from what it should be
    value = max(levels, key=abs) if kind in UNLIT else max(levels)
    message = f"a {kind} of {value:.4g} e-"
    result = view.judge("content", None, value, "e-", "EXPTYPE", message)
    if result.verdict == "ok" and kind in UNLIT and min(view.setup.shape) >= LEAST_SIDE and _starry(view):
        message = f"{view.look.seeing.number} stars of one size in a {kind}"
        yield CheckResult(
            result.file, "content", result.detector, "", value, "e-", "error", "EXPTYPE", result.limits, message
        )
        return
    yield result


def _starry(view: DetectorView) -> bool:
    return view.look.seeing.number >= _STARS
