"""How much of every amplifier is saturated?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView


def check_saturation(view: DetectorView) -> Iterator[CheckResult]:
    """Fraction of the data at or above the amplifier's saturation."""
    for amplifier in view.setup.amplifiers:
        data = view.data(amplifier)
        saturated = int(np.count_nonzero(data >= amplifier.saturation_adu))
        message = f"{saturated} pixels at {amplifier.saturation_adu:g} ADU or more" if saturated else ""
        yield view.judge("saturation", amplifier, saturated / data.size, "fraction", "SATURATION", message)
