"""Read noise of every amplifier, from its overscan."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView
from processors.statistics import clipped


def check_read_noise(view: DetectorView) -> Iterator[CheckResult]:
    """Clipped standard deviation of the overscan about its row medians, times the gain, e-."""
    for amplifier in view.setup.amplifiers:
        overscan = view.overscan(amplifier)
        if overscan is None:
            continue
        values = overscan.astype(np.float64)
        columns = values.shape[1]
        values -= np.median(values, axis=1, keepdims=True)  # drift from row to row is not noise
        sigma = clipped(values)[1] * math.sqrt(columns / max(columns - 1, 1))
        gain = amplifier.gain_e_adu
        message = f"{sigma:.2f} ADU at {gain:g} e-/ADU"
        yield view.judge("read_noise", amplifier, sigma * gain, "e-", "RON_OOL", message)
