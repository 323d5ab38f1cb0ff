"""Level and scatter of every amplifier's data."""

from __future__ import annotations

import math
from collections.abc import Iterator

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView
from processors.statistics import clipped, quick_median


def check_mean_level(view: DetectorView) -> Iterator[CheckResult]:
    """Clipped mean of the data above the overscan, ADU, and their clipped standard deviation, e- (every n-th pixel)."""
    for amplifier in view.setup.amplifiers:
        data = view.data(amplifier)
        overscan = view.overscan(amplifier)
        step = max(1, math.isqrt(data.size // 60_000))
        mean, sigma, _ = clipped(data[::step, ::step])
        above = mean - (quick_median(overscan) if overscan is not None and overscan.size else 0.0)
        yield view.judge("mean_level", amplifier, above, "adu", "BGD_OOL")
        yield view.judge("noise", amplifier, sigma * amplifier.gain_e_adu, "e-", "POORQUALDATA")
