"""Is an amplifier dead, swapped with another, or of another gain than its header says?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from processors.checks.result import CheckResult
from processors.checks.view import UNLIT, DetectorView
from processors.section import Section
from processors.statistics import clipped

_STRIP: Final = 24  # pixels at each side of a border
_LEAST_E: Final = 200.0  # light at a border below which the structure of the bias spoils a ratio
_ROWS: Final = 64  # of a bias that are looked at
_FLAG: Final = "AMPLIFIER"


def check_amplifiers(view: DetectorView) -> Iterator[CheckResult]:
    """Light of an amplifier over its neighbour's at their border; of a bias or dark the noise over what it should be.

    A dead amplifier has neither. Two that were swapped meet their neighbours with the wrong gain and the wrong end.
    """
    if view.frame.identity.obstype in UNLIT:
        yield from _noises(view)
    elif view.has_overscan and len(view.setup.amplifiers) > 1:
        yield from _borders(view)


def _noises(view: DetectorView) -> Iterator[CheckResult]:
    for amplifier in view.setup.amplifiers:
        data = view.data(amplifier)
        rows = data[:: max(1, data.shape[0] // _ROWS)].astype(np.float64)
        differences = rows[:, 2:] - rows[:, :-2]  # of pixels two apart: a pattern of odd and even columns is none
        spread = clipped(differences)[1] / math.sqrt(2)
        ratio = spread * amplifier.gain_e_adu / amplifier.read_noise_e
        yield view.judge("amplifiers", amplifier, ratio, "ratio", _FLAG, f"noise over {amplifier.read_noise_e:g} e-")


def _borders(view: DetectorView) -> Iterator[CheckResult]:
    sci = view.calibrated.sci
    for amplifier in view.setup.amplifiers:
        ratios = []
        for other in view.setup.amplifiers:
            strips = border(amplifier.trimmed, other.trimmed)
            if other is not amplifier and strips is not None:
                own, theirs = (float(np.median(sci[strip.slices])) for strip in strips)
                if max(own, theirs) >= _LEAST_E:
                    ratios.append(max(own, 0.0) / max(theirs, 1.0))
        if ratios:
            # of two neighbours the one that agrees better: the other one may be the bad one
            value = min(ratios, key=lambda ratio: abs(math.log(max(ratio, 1e-6))))
            yield view.judge("amplifiers", amplifier, value, "ratio", _FLAG, "light over that of its neighbour")


def border(a: Section, b: Section) -> tuple[Section, Section] | None:
    """Strips of `a` and of `b` along the border that they share, in the trimmed image; None where they do not touch."""
    y0, y1 = max(a.y0, b.y0), min(a.y1, b.y1)
    x0, x1 = max(a.x0, b.x0), min(a.x1, b.x1)
    wide, high = min(_STRIP, a.shape[1], b.shape[1]), min(_STRIP, a.shape[0], b.shape[0])
    if y1 > y0 and a.x1 == b.x0:
        return Section(a.x1 - wide, a.x1, y0, y1), Section(b.x0, b.x0 + wide, y0, y1)
    if y1 > y0 and b.x1 == a.x0:
        return Section(a.x0, a.x0 + wide, y0, y1), Section(b.x1 - wide, b.x1, y0, y1)
    if x1 > x0 and a.y1 == b.y0:
        return Section(x0, x1, a.y1 - high, a.y1), Section(x0, x1, b.y0, b.y0 + high)
    if x1 > x0 and b.y1 == a.y0:
        return Section(x0, x1, a.y0, a.y0 + high), Section(x0, x1, b.y1 - high, b.y1)
    return None
