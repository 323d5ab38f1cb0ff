"""Every kernel of checks and reductions compiled (or loaded from numba's cache) before the first frame comes."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.geometry import Amplifier, DetectorSetup, Section
from processors.isr.signature import remove_signature
from processors.masters.combine import combine
from processors.photometry.sources import find_sources
from processors.reduction.inspect import Steps, inspect_detector

_SIDE: Final = 128


def warm_up() -> None:
    """Run the kernels once on small images, for what is usual: others are compiled when first needed."""
    data, overscan = Section(0, _SIDE, 0, _SIDE), Section(_SIDE, _SIDE + 4, 0, _SIDE)
    amplifier = Amplifier("A", data, overscan, True, 1.0, 1.0, 60000.0, data)
    setup = DetectorSetup("1", 0, (amplifier,), (_SIDE, _SIDE), ())
    raw = _stars()
    plane, bad = np.ones((_SIDE, _SIDE), np.float32), np.zeros((_SIDE, _SIDE), np.uint16)
    remove_signature(raw.astype(np.float32), setup, plane, plane)
    remove_signature(raw, setup, plane, plane, bad)
    made = remove_signature(raw, setup, plane, plane)
    inspect_detector(made, "1", 1.0, 1.0, Steps())
    find_sources(made.sci, made.var, made.mask)
    combine([plane, plane, plane])


def _stars() -> NDArray[np.uint16]:
    """A raw image of stars on a sky, and of a cosmic ray."""
    rng = np.random.default_rng(1)
    light = np.full((_SIDE, _SIDE + 4), 400.0)
    y, x = np.mgrid[:_SIDE, : _SIDE + 4]
    for row, column in product(range(16, _SIDE, 24), repeat=2):
        light += 5000 * np.exp(-0.5 * ((x - column) ** 2 + (y - row) ** 2) / 2.25)
    light[60, 40:46] += 3000
    light[:, _SIDE:] = 0
    return (rng.poisson(light) + 100).astype(np.uint16)
