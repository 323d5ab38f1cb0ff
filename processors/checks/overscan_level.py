"""Overscan level of every amplifier."""

from __future__ import annotations

import math
from collections.abc import Iterator

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView
from processors.statistics import quick_median


def check_overscan_level(view: DetectorView) -> Iterator[CheckResult]:
    """Median of the overscan, ADU."""
    for amplifier in view.setup.amplifiers:
        overscan = view.overscan(amplifier)
        if overscan is not None:
            level = quick_median(overscan) if overscan.size else math.nan
            yield view.judge("overscan_level", amplifier, level, "adu", "OFFSET_OOL")
