"""Are all detectors there?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult, Verdict
from processors.checks.view import of_file
from processors.fits import Frame
from processors.identity import expected_detectors


def check_completeness(frame: Frame) -> Iterator[CheckResult]:
    """Number of detectors in the file; a mosaic that lacks some raises MISSDATA and names them.

    A mosaic camera that writes a file per detector puts it into the primary HDU: such a file is whole with one.
    """
    spec = frame.instrument.spec.detectors
    found = frame.identity.detectors
    if spec.layout == "single" or [setup.hdu for setup in frame.setups] == [0]:
        known = found[0] in spec.expected
        message = "" if known else f"detector {found[0]} is none of the instrument's"
        yield of_file(frame, "completeness", len(found), "detectors", "ok" if known else "error", "MISSDATA", message)
        return
    expected = expected_detectors(frame.instrument.spec, frame.headers)
    missing = [detector for detector in expected if detector not in found]
    shown = ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")
    message = f"{len(missing)} of {len(expected)} detectors missing: {shown}" if missing else ""
    verdict: Verdict = "error" if missing else "ok"
    yield of_file(frame, "completeness", len(found), "detectors", verdict, "MISSDATA", message)
