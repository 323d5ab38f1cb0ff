"""Which frames are good enough for a master."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.fits import Frame
from processors.isr.signature import overscan_level
from processors.provenance import Rejection, quick_look
from processors.statistics import clipped, sample

SKY_KINDS: Final = frozenset({"superflat", "fringe"})  # made of frames of the sky with its sources
LIT_KINDS: Final = frozenset({"flat", "skyflat"}) | SKY_KINDS

_MOST_SATURATED: Final = 0.02  # fraction of the pixels
_FAINTEST_E: Final = {"flat": 500.0, "skyflat": 500.0, "superflat": 100.0, "fringe": 100.0}
_FAINTEST_OF_MEDIAN: Final = 0.2  # a flat that has less than this of the others' median level is mostly noise
_LONGEST_BIAS_S: Final = 1.0
_DARK_TIMES_APART: Final = 0.1  # by which an exposure time may differ from the others' median, as a fraction of it
_BIAS_APART_ADU: Final = 10.0  # by which a bias may differ from the others' median level
_DARK_APART_E: Final = 10.0  # the same of a dark
_DARK_APART: Final = 0.2  # and as a fraction of that level; the larger one holds
_BALANCE_APART: Final = 0.2  # by which an amplifier's share in the light of a flat may differ from the others'
_DIMMEST_SHARE: Final = 0.1  # of an amplifier that is alive; below it the limit gets no narrower: a dead one is noise
_FEWEST_TO_VOTE: Final = 3
_SAMPLE: Final = 50_000  # pixels of an amplifier
_STARS_OUT: Final = 3.0  # σ of the clipping that finds the sky's level among stars


@dataclass(frozen=True, slots=True)
class Level:
    """Level of an exposure above the overscan: ADU for a bias, e- for all others.

    `median` is that of all pixels (of sky frames the clipped mean, which stars do not move), `saturated` the fraction
    of them, `amplifiers` the same level by detector and amplifier, `shapes` the trimmed (rows, columns) by detector.
    `problem` says why the frame is of no use.
    """

    name: str
    median: float
    saturated: float
    problem: str = ""
    exptime_s: float = 0.0
    amplifiers: tuple[tuple[str, float], ...] = ()
    shapes: tuple[tuple[str, tuple[int, int]], ...] = ()


def measure_level(frame: Frame, kind: str) -> Level:
    """Level and saturated fraction of a frame; one that cannot be read carries its problem instead."""
    if approximation := quick_look(frame.headers[0]):
        problem = f"a quick look ({approximation}): its noise is not the detector's"
        return Level(frame.path.name, math.nan, math.nan, problem)
    samples: list[NDArray[np.float32]] = []
    amplifiers: list[tuple[str, float]] = []
    saturated, pixels = 0, 0
    try:
        for setup in frame.setups:
            raw = frame.image(setup)
            for amplifier in setup.amplifiers:
                data = raw[amplifier.data.slices]
                overscan = float(np.median(overscan_level(raw, amplifier, setup.detector)))
                gain = 1.0 if kind == "bias" else amplifier.gain_e_adu
                samples.append((sample(data, _SAMPLE).astype(np.float32) - np.float32(overscan)) * np.float32(gain))
                amplifiers.append((f"{setup.detector} {amplifier.name}", _middle(kind, samples[-1])))
                saturated += int(np.count_nonzero(data >= amplifier.saturation_adu))
                pixels += data.size
    except BadFrame as error:
        return Level(frame.path.name, math.nan, math.nan, str(error))
    if not samples:
        return Level(frame.path.name, math.nan, math.nan, "no detectors")
    level = _middle(kind, np.concatenate(samples))
    shapes = tuple((setup.detector, setup.shape) for setup in frame.setups)
    return Level(frame.path.name, level, saturated / pixels, "", frame.identity.exptime_s, tuple(amplifiers), shapes)


def _middle(kind: str, values: NDArray[Any]) -> float:
    values = values[np.isfinite(values)]
    if values.size == 0:
        return math.nan
    return clipped(values, _STARS_OUT)[0] if kind in SKY_KINDS else float(np.median(values))


def choose_inputs(kind: str, levels: Sequence[Level]) -> tuple[tuple[int, ...], tuple[Rejection, ...]]:
    """Numbers of the frames that are good enough for a master, and the reason for each that is not.

    First every frame is judged by itself, then, where there are three or more, by the others: its shape by the most
    common one, by the median its exposure time (darks), its level, and the level of each amplifier. With two nobody
    can say which one is wrong.
    """
    rejected: dict[int, str] = {}
    good = list(range(len(levels)))
    for judge in (_by_itself, *_VOTES.get(kind, _LIT_VOTES)):
        if judge is not _by_itself and len(good) < _FEWEST_TO_VOTE:
            break
        reasons = judge(kind, [levels[number] for number in good])
        rejected |= {number: reason for number, reason in zip(good, reasons, strict=True) if reason}
        good = [number for number in good if number not in rejected]
    return tuple(good), tuple(Rejection(levels[number].name, rejected[number]) for number in sorted(rejected))


def _by_itself(kind: str, levels: Sequence[Level]) -> list[str]:
    return [_reason(kind, level) for level in levels]


def _reason(kind: str, level: Level) -> str:
    if level.problem:
        return level.problem
    if not math.isfinite(level.median):
        return "its level is not a number"
    if level.saturated > _MOST_SATURATED:
        return f"{100 * level.saturated:.1f} % of the pixels are saturated"
    if kind == "bias" and level.exptime_s > _LONGEST_BIAS_S:
        return f"exposed for {level.exptime_s:g} s"
    if kind == "dark" and not level.exptime_s > 0:
        return "its exposure time is 0"
    if level.median < _FAINTEST_E.get(kind, -math.inf):
        return f"level {level.median:.0f} e-, less than {_FAINTEST_E[kind]:.0f}"
    return ""


def _shape(kind: str, levels: Sequence[Level]) -> list[str]:  # noqa: ARG001
    usual = {
        detector: Counter(shape for level in levels for name, shape in level.shapes if name == detector)
        for detector in {name for level in levels for name, _ in level.shapes}
    }
    reasons = []
    for level in levels:
        common = [(name, shape, usual[name].most_common(1)[0][0]) for name, shape in level.shapes]
        wrong = [f"detector {name}: {shape} pixels, the others {most}" for name, shape, most in common if shape != most]
        reasons.append(next(iter(wrong), ""))
    return reasons


def _exposure_time(kind: str, levels: Sequence[Level]) -> list[str]:  # noqa: ARG001
    middle = float(np.median([level.exptime_s for level in levels]))
    return [
        f"exposure time {level.exptime_s:g} s, the others' {middle:g} s"
        if abs(level.exptime_s - middle) > _DARK_TIMES_APART * middle
        else ""
        for level in levels
    ]


def _offset(kind: str, levels: Sequence[Level]) -> list[str]:
    middle = float(np.median([level.median for level in levels]))
    return [_apart(kind, level.median, middle) for level in levels]


def _offset_of_amplifiers(kind: str, levels: Sequence[Level]) -> list[str]:
    middles = _middles([dict(level.amplifiers) for level in levels])
    reasons = []
    for level in levels:
        wrong = [(name, _apart(kind, value, middles[name])) for name, value in level.amplifiers]
        reasons.append(next((f"amplifier {name}: {why}" for name, why in wrong if why), ""))
    return reasons


def _apart(kind: str, value: float, middle: float) -> str:
    if not math.isfinite(value):
        return "its level is not a number"
    limit, unit = (_BIAS_APART_ADU, "ADU") if kind == "bias" else (max(_DARK_APART_E, _DARK_APART * abs(middle)), "e-")
    return "" if abs(value - middle) <= limit else f"level {value - middle:+.1f} {unit} from the others"


def _faint(kind: str, levels: Sequence[Level]) -> list[str]:  # noqa: ARG001
    middle = float(np.median([level.median for level in levels]))
    return [
        f"level {level.median:.0f} e-, the others' {middle:.0f}" if level.median < _FAINTEST_OF_MEDIAN * middle else ""
        for level in levels
    ]


def _balance(kind: str, levels: Sequence[Level]) -> list[str]:  # noqa: ARG001
    shares = [{name: value / level.median for name, value in level.amplifiers} for level in levels]
    middles = _middles(shares)
    reasons = []
    for share in shares:
        wrong = [name for name, value in share.items() if not _balanced(value, middles[name])]
        reasons.append(
            f"amplifier {wrong[0]}: {share[wrong[0]]:.2f} of the level, {middles[wrong[0]]:.2f} in the others"
            if wrong
            else ""
        )
    return reasons


def _balanced(share: float, middle: float) -> bool:
    return abs(share - middle) <= _BALANCE_APART * max(abs(middle), _DIMMEST_SHARE)


def _middles(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Median of every amplifier over the frames that know its level; NaN where none does."""
    known: dict[str, list[float]] = {name: [] for each in values for name in each}
    for each in values:
        for name, value in each.items():
            if math.isfinite(value):
                known[name].append(value)
    return {name: float(np.median(levels)) if levels else math.nan for name, levels in known.items()}


Judge = Callable[[str, Sequence[Level]], list[str]]
_LIT_VOTES: Final[tuple[Judge, ...]] = (_shape, _faint, _balance)
_VOTES: Final[dict[str, tuple[Judge, ...]]] = {
    "bias": (_shape, _offset, _offset_of_amplifiers),
    "dark": (_shape, _exposure_time, _offset, _offset_of_amplifiers),
}
