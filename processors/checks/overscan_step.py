"""Does the overscan level jump during the readout?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView


def check_overscan_step(view: DetectorView) -> Iterator[CheckResult]:
    """Highest less lowest level along the overscan of every amplifier, ADU (`isr.overscan`, DESI's OSTEP)."""
    for amplifier, step in zip(view.setup.amplifiers, view.calibrated.overscan_step_adu, strict=True):
        if amplifier.overscan is not None:
            yield view.judge("overscan_step", amplifier, step, "adu", "OFFSET_OOL")
