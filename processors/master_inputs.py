"""Which frames are good enough for a master."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.errors import BadFrame
from processors.fits import Frame
from processors.isr import overscan_level
from processors.provenance import Rejection, quick_look
from processors.statistics import sample

_MOST_SATURATED: Final = 0.02  # fraction of the pixels
_FAINTEST_FLAT_E: Final = 500.0
_BIAS_APART_ADU: Final = 10.0  # by which a bias may differ from the others' median level
_FEWEST_TO_VOTE: Final = 3
_SAMPLE: Final = 50_000  # pixels of an amplifier


@dataclass(frozen=True, slots=True)
class Level:
    """Level of an exposure above the overscan: ADU for a bias, e- for a flat (the median over all its detectors)."""

    name: str
    median: float
    saturated: float
    problem: str = ""


def measure_level(frame: Frame, kind: str) -> Level:
    """Level and saturated fraction of a frame; one that cannot be read carries its problem instead."""
    if approximation := quick_look(frame.headers[0]):
        return Level(
            frame.path.name, math.nan, math.nan, f"a quick look ({approximation}): its noise is not the detector's"
        )
    samples, saturated, pixels = [], 0, 0
    try:
        for setup in frame.setups:
            raw = frame.image(setup)
            for amplifier in setup.amplifiers:
                data = raw[amplifier.data.slices]
                overscan = float(np.median(overscan_level(raw, amplifier, setup.detector)))
                gain = 1.0 if kind == "bias" else amplifier.gain_e_adu
                samples.append((sample(data, _SAMPLE).astype(np.float32) - overscan) * gain)
                saturated += int(np.count_nonzero(data >= amplifier.saturation_adu))
                pixels += data.size
    except BadFrame as error:
        return Level(frame.path.name, math.nan, math.nan, str(error))
    if not samples:
        return Level(frame.path.name, math.nan, math.nan, "no detectors")
    return Level(frame.path.name, float(np.nanmedian(np.concatenate(samples))), saturated / pixels)


def choose_inputs(kind: str, levels: Sequence[Level]) -> tuple[tuple[int, ...], tuple[Rejection, ...]]:
    """Numbers of the frames that are good enough for a master, and the reason for each that is not."""
    good: list[int] = []
    rejected: list[Rejection] = []
    for number, level in enumerate(levels):
        reason = _reason(kind, level)
        if reason:
            rejected.append(Rejection(level.name, reason))
        else:
            good.append(number)
    if kind == "bias" and len(good) >= _FEWEST_TO_VOTE:
        middle = float(np.median([levels[number].median for number in good]))
        for number in list(good):
            apart = levels[number].median - middle
            if abs(apart) > _BIAS_APART_ADU:
                good.remove(number)
                rejected.append(Rejection(levels[number].name, f"level {apart:+.1f} ADU from the others"))
    return tuple(good), tuple(rejected)


def _reason(kind: str, level: Level) -> str:
    if level.problem:
        return level.problem
    if not math.isfinite(level.median):
        return "its level is not a number"
    if level.saturated > _MOST_SATURATED:
        return f"{100 * level.saturated:.1f} % of the pixels are saturated"
    if kind != "bias" and level.median < _FAINTEST_FLAT_E:
        return f"level {level.median:.0f} e-, less than {_FAINTEST_FLAT_E:.0f}"
    return ""
