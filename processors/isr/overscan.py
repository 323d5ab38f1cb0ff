"""Overscan of an amplifier: its level by row, column or frame, by several methods, and a score for steps in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.geometry import Amplifier
from processors.kernels import inlined, kernel
from processors.readout_schema import OverscanMethod
from processors.statistics import clipped, half_step

F4 = NDArray[np.float32]
Raw = NDArray[np.uint16] | NDArray[np.float32]
_STEP_WINDOW: Final = 7  # rows of the running median that keeps noise and cosmic rays out of the step score
_STEP_MARGIN: Final = 50  # rows at either end that do not count in it


@dataclass(frozen=True, slots=True)
class Overscan:
    """Overscan of an amplifier, ADU.

    `level` of every data row, float32. `columns`, where the overscan is taken by column: what every data column has
    above that. `step` is the score of `overscan_step` before any smoothing; 0 without an overscan.
    """

    level: F4
    columns: F4 | None
    step: float


def measure_overscan(raw: Raw, amplifier: Amplifier, detector: str = "") -> Overscan:
    """Overscan of an amplifier, by the method of its instrument file.

    Raises
    ------
    BadFrame
        The overscan holds NaN, or has fewer rows than its method needs.
    """
    rows = amplifier.data.shape[0]
    section, method = amplifier.overscan, amplifier.overscan_method
    where = f"detector {detector}, amplifier {amplifier.name}"
    if section is None:
        return Overscan(np.zeros(rows, np.float32), None, 0.0)
    if amplifier.overscan_per_row:
        block = raw[amplifier.data.y0 : amplifier.data.y1, section.x0 : section.x1]
        plain = _each(block, method, where)
        return Overscan(_smoothed(plain, method, where), None, overscan_step(plain))
    if amplifier.overscan_per_column:
        plain = _each(raw[section.y0 : section.y1, amplifier.data.x0 : amplifier.data.x1].T, method, where)
        profile = _smoothed(plain, method, where)
        level = np.float32(np.median(profile))
        return Overscan(np.full(rows, level, np.float32), profile - level, overscan_step(plain))
    block = raw[section.slices]
    plain = _each(block if block.shape[0] >= block.shape[1] else block.T, OverscanMethod(), where)
    single = np.median(block) if method.method == "median" else clipped(block, method.sigma)[0]
    return Overscan(np.full(rows, single, np.float32), None, overscan_step(plain))


def overscan_level(raw: Raw, amplifier: Amplifier, detector: str = "") -> F4:
    """Overscan of every data row, ADU, float32; 0 without an overscan (BadFrame when it holds NaN).

    Where the overscan is taken by column this is its median over the columns.
    """
    return measure_overscan(raw, amplifier, detector).level


def overscan_step(profile: F4) -> float:
    """Highest less lowest level along an overscan, ADU, after a running median of 7 and without 50 values at each end.

    DESI's OSTEP (desispec.preproc.compute_overscan_step). A jump of the level during the readout shows in it; noise
    gives some 3 to 4 times the scatter of a median of 7. Of a short profile an eighth is left out at each end. NaN for
    a profile that holds NaN.
    """
    margin = min(_STEP_MARGIN, profile.size // 8)
    inner = np.ascontiguousarray(profile[margin : profile.size - margin], np.float32)
    if not np.isfinite(inner).all():
        return math.nan
    return float(_range_of_medians(inner)) if inner.size >= _STEP_WINDOW else 0.0


def _each(block: Raw, method: OverscanMethod, where: str) -> F4:
    """Median or clipped mean of each line of a block, before smoothing (BadFrame where it holds NaN)."""
    if block.dtype != np.uint16 and not np.isfinite(block).all():
        raise BadFrame(f"{where}: the overscan holds NaN or infinity")
    if method.method == "clipped_mean":
        return _clipped_means(block, method.sigma)
    if block.dtype == np.uint16:
        medians: F4 = _line_medians(np.ascontiguousarray(block))
        return medians
    return np.asarray(np.median(block, axis=1), np.float32)


def _clipped_means(block: Raw, width: float) -> F4:
    """Mean of each line's values within `width` σ of its median, σ being that of the whole block about the medians."""
    values = block.astype(np.float64)
    middle = np.median(values, axis=1)
    values -= middle[:, None]
    kept = np.abs(values) <= width * clipped(values)[1] + half_step(values.ravel())
    return np.asarray(middle + np.sum(values, axis=1, where=kept) / np.maximum(kept.sum(axis=1), 1), np.float32)


def _smoothed(levels: F4, method: OverscanMethod, where: str) -> F4:
    if method.method not in {"savgol", "spline"}:
        return levels
    needed = method.window if method.method == "savgol" else method.order + 1
    if levels.size < needed:
        raise BadFrame(f"{where}: {levels.size} overscan levels, {method.method} needs {needed}")
    if method.method == "savgol":
        from scipy.signal import savgol_filter

        smooth = savgol_filter(levels.astype(np.float64), method.window, method.order, mode="interp")
    else:
        from scipy.interpolate import LSQUnivariateSpline

        x = np.arange(levels.size, dtype=np.float64)
        knots = np.arange(method.window, levels.size - method.window + 1, method.window, dtype=np.float64)
        smooth = LSQUnivariateSpline(x, levels.astype(np.float64), knots, k=method.order)(x)
    return np.asarray(smooth, np.float32)


@inlined
def _up_to(row: Any, value: Any) -> Any:
    """How many of a row of whole numbers are `value` or less."""
    count = np.int32(0)
    for x in range(row.size):
        count += np.int32(1) if np.int32(row[x]) <= value else np.int32(0)
    return count


@kernel
def _line_medians(block: Any) -> Any:
    """Median of each row of a block of uint16, float32.

    By counting, which becomes vector instructions where sorting does not, from the median of the row before: that is
    rarely far away.
    """
    n = block.shape[1]
    half = (n + 1) // 2
    levels = np.empty(block.shape[0], np.float32)
    high = np.int32(block[0, 0])
    for y in range(block.shape[0]):
        row = block[y]
        # not half of the values are up to `low`, half of them are up to `high`; first bracketed, then halved
        step = np.int32(1)
        low = high - step
        if _up_to(row, high) >= half:
            while _up_to(row, low) >= half:
                step *= np.int32(2)
                high, low = low, low - step
        else:
            low, high = high, high + step
            while _up_to(row, high) < half:
                step *= np.int32(2)
                low, high = high, high + step
        while high - low > 1:
            middle = (low + high) >> 1
            if _up_to(row, middle) >= half:
                high = middle
            else:
                low = middle
        levels[y] = np.float32(high)
        if n % 2 == 0 and _up_to(row, high) == half:
            upper = np.int32(65536)
            for x in range(n):
                value = np.int32(row[x])
                upper = min(upper, value if value > high else np.int32(65536))
            levels[y] = (np.float32(high) + np.float32(upper)) * np.float32(0.5)
    return levels


@kernel
def _range_of_medians(profile: Any) -> Any:
    """Largest less smallest running median of `_STEP_WINDOW` values."""
    window = np.empty(_STEP_WINDOW, np.float32)
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for start in range(profile.size - _STEP_WINDOW + 1):
        for offset in range(_STEP_WINDOW):  # insertion sort
            value = profile[start + offset]
            at = offset
            while at > 0 and window[at - 1] > value:
                window[at] = window[at - 1]
                at -= 1
            window[at] = value
        middle = window[_STEP_WINDOW // 2]
        lowest, highest = min(lowest, middle), max(highest, middle)
    return highest - lowest
