"""Pairs of flats of one level, and what a pair says about an amplifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.characterise.result import FrameUse
from processors.characterise.signal import F4, F8, AmplifierSignal, box_means, robust_sigma
from processors.fits import Frame

_ALIKE = 0.25  # levels of a pair may differ by this fraction


@dataclass(frozen=True, slots=True)
class PtcPoint:
    """A pair of flats: mean signal (ADU), variance of one of them without fixed pattern (ADU²), its standard error.

    `saturated` is the larger fraction of saturated pixels of the two; `covariances` (lags along y, lags along x), ADU²,
    is empty unless asked for.
    """

    mean_adu: float
    variance_adu2: float
    error_adu2: float
    pixels: int
    saturated: float
    covariances: F8
    covariance_error: float


def pair_flats(flats: Sequence[Frame]) -> tuple[tuple[tuple[Frame, Frame], ...], tuple[FrameUse, ...]]:
    """Neighbours in time of one exposure time (within 1 %), then what is left over with its neighbour.

    Those left over may still be alike (sky flats adapt their times to the sky); whether they are is seen on the pixels.
    """
    pairs: list[tuple[Frame, Frame]] = []
    waiting: list[Frame] = []
    for flat in flats:
        mate = next((w for w in waiting if _same_time(w, flat)), None)
        if mate is None:
            waiting.append(flat)
        else:
            waiting.remove(mate)
            pairs.append((mate, flat))
    while len(waiting) >= 2:
        pairs.append((waiting.pop(0), waiting.pop(0)))
    return tuple(pairs), tuple(FrameUse(str(flat.path), "", "no second flat of its level") for flat in waiting)


def measure_pair(a: AmplifierSignal, b: AmplifierSignal, box: int, lags: int = 0) -> PtcPoint | None:
    """Mean and variance of a pair of flats, bias-subtracted; None where their levels are not alike.

    Both are scaled to their common mean m, so that the fixed pattern goes and half the variance of the difference is
    m / K + read noise², to second order in the inequality (Janesick 2001, section 2.2). The variance is the mean over
    boxes but for those that stand out by 5 σ (stars, blemishes), its error from the boxes' scatter.
    """
    first, second = float(np.median(a.data)), float(np.median(b.data))
    middle = (first + second) / 2
    if not (middle > 0 and abs(first - second) < _ALIKE * middle):
        return None
    means, _ = box_means((a.data + b.data) / 2, box)
    difference = a.data * np.float32(middle / first) - b.data * np.float32(middle / second)
    _, variances = box_means(difference, box)
    variances = variances / 2
    spread = max(robust_sigma(variances), 1e-9)
    good = np.abs(variances - np.median(variances)) <= 5 * spread
    number = int(good.sum())
    size = a.data.size // variances.size
    error = max(float(variances[good].std()), float(variances[good].mean()) * math.sqrt(2 / size)) / math.sqrt(number)
    covariances = np.empty((0, 0))
    if lags:
        covariances = covariances_of(difference, lags) / 2
    return PtcPoint(
        float(means[good].mean()),
        float(variances[good].mean()),
        error,
        number * size,
        max(a.saturated, b.saturated),
        covariances,
        float(variances[good].mean()) / math.sqrt(a.data.size),
    )


def covariances_of(image: F4, lags: int) -> F8:
    """Covariance of pixels j rows and i columns apart, [j, i] for j, i from 0 to `lags` - 1; mean of both diagonals.

    Pixels 5 σ from the mean are left out. Of a difference of two flats, in its units squared.
    """
    centred = image.astype(np.float64) - float(np.median(image))
    inside = np.abs(centred) <= 5 * robust_sigma(centred) + 0.5
    centred = np.where(inside, centred - centred[inside].mean(), 0.0)
    weight = inside.astype(np.float64)
    rows, columns = image.shape
    found = np.empty((lags, lags))
    for j in range(lags):
        for i in range(lags):
            total, number = 0.0, 0.0
            for left in {i, -i}:
                here = slice(0, rows - j), slice(max(0, -left), columns - max(0, left))
                there = slice(j, rows), slice(max(0, left), columns - max(0, -left))
                total += float(np.vdot(centred[here], centred[there]))
                number += float(np.vdot(weight[here], weight[there]))
            found[j, i] = total / number
    return found


def _same_time(a: Frame, b: Frame) -> bool:
    one, two = a.identity.exptime_s, b.identity.exptime_s
    return abs(one - two) <= 0.01 * max(one, two)
