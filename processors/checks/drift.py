"""Is a value far from what it was in the last frames of the kind?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.checks.result import CheckResult, verdict_of
from processors.checks.view import UNLIT
from processors.fits import Frame

Place = tuple[str, str, str]  # check, detector, amplifier
History = Mapping[Place, Sequence[float]]

# properties of the detector and the lamps; sky and stars are others in every field, and so is the noise with light
WATCHED: Final = ("overscan_level", "overscan_step", "read_noise", "noise", "fluence")
LAST: Final = 20  # frames that are remembered
FEWEST: Final = 5  # frames that tell how much a value scatters
_LEAST: Final = 0.002  # relative scatter below which a change is of no interest
_LEAST_ADU: Final = 0.5  # medians of whole numbers are whole numbers, or halves


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far a value is from the median of those before, in units of their scatter."""

    score: float
    median: float
    scatter: float


def deviation(value: float, before: Sequence[float], least: float = 0.0) -> Deviation | None:
    """Robust z-score: (value - median) / (1.4826 median absolute deviation); None with fewer than five values before.

    The scatter counts as `least` and 0.2 % of the median at least (Iglewicz & Hoaglin 1993, *How to Detect and Handle
    Outliers*, section 3.3, for the score). A value that is not a number has a score that is none either.
    """
    known = np.array([number for number in before if math.isfinite(number)])
    if known.size < FEWEST:
        return None
    median = float(np.median(known))
    scatter = max(1.4826 * float(np.median(np.abs(known - median))), _LEAST * abs(median), least, 1e-9)
    return Deviation((value - median) / scatter, median, scatter)


def check_drift(frame: Frame, results: Iterable[CheckResult], history: History) -> Iterator[CheckResult]:
    """Of every amplifier (or detector) the largest robust z-score of its values against the last frames of the kind.

    `history` has the values of earlier frames of the same instrument, detector, obstype, filter and readout. Without
    enough of them there is no result.
    """
    worst: dict[tuple[str, str], tuple[Deviation, CheckResult, int]] = {}
    for result in results:
        earlier = history.get((result.check, result.detector, result.amplifier), ())
        least = _LEAST_ADU if result.unit == "adu" else 0.0
        found = deviation(result.value, earlier, least) if watched(frame, result) else None
        if found is None:
            continue
        place = (result.detector, result.amplifier)
        if place not in worst or not abs(found.score) <= abs(worst[place][0].score):
            worst[place] = (found, result, len(earlier))
    limit = frame.instrument.limit("drift", frame.identity)
    for (detector, amplifier), (found, result, number) in worst.items():
        verdict, limits = verdict_of(found.score, limit)
        before = f"the last {number} {found.median:.5g} ± {found.scatter:.2g}"
        message = f"{result.check} {result.value:.5g} {result.unit}, {before}"
        yield CheckResult(
            str(frame.path), "drift", detector, amplifier, found.score, "sigma", verdict,
            "" if verdict == "ok" else "DRIFT", limits, message if limits else f"{message}; no limits",
        )  # fmt: skip


def watched(frame: Frame, result: CheckResult) -> bool:
    """Whether a value is followed from frame to frame."""
    return result.check in WATCHED and (result.check != "noise" or frame.identity.obstype in UNLIT)


def watched_values(frame: Frame, results: Iterable[CheckResult]) -> Iterator[tuple[Place, float]]:
    """What later frames are compared with: finite values that are in no error."""
    for result in results:
        if watched(frame, result) and math.isfinite(result.value) and result.verdict != "error":
            yield (result.check, result.detector, result.amplifier), result.value
