"""Every kernel compiled (or loaded from numba's cache) before the first frame comes."""

from __future__ import annotations

import numpy as np

from processors.combine import combine
from processors.geometry import Amplifier, DetectorSetup, Section
from processors.isr import remove_signature


def warm_up() -> None:
    """Run the kernels once on tiny images, for both types of raw pixels."""
    data, overscan = Section(0, 8, 0, 8), Section(8, 12, 0, 8)
    amplifier = Amplifier("A", data, overscan, True, 1.0, 1.0, 60000.0, data)
    setup = DetectorSetup("1", 0, (amplifier,), (8, 8), ())
    plane = np.ones((8, 8), np.float32)
    remove_signature(np.ones((8, 12), np.uint16), setup, plane, plane)
    remove_signature(np.ones((8, 12), np.float32), setup, plane, plane)
    combine([plane, plane, plane])
