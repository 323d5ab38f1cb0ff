"""Does the header agree with itself about when the frame was taken?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult
from processors.checks.view import of_file
from processors.fits import Frame

_WORDS = {
    "NIGHT_MISMATCH": "the header's own night is another than that of its time",
    "TIME_MISMATCH": "two clocks in the header disagree by more than 10 s",
}


def check_night(frame: Frame) -> Iterator[CheckResult]:
    """Number of disagreements between the cards that tell the time."""
    flags = [flag for flag in frame.identity.flags if flag in _WORDS]
    message = "; ".join(_WORDS[flag] for flag in flags)
    yield of_file(frame, "night", len(flags), "flags", "warning" if flags else "ok", " ".join(flags), message)
