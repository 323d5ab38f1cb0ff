"""Instrument signature removal of one detector: overscan, trim, bias, gain, flat, mask and variance in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.fits import Pixels
from processors.geometry import Amplifier, DetectorSetup
from processors.kernels import inlined, kernel
from processors.planes import Mask

F4 = NDArray[np.float32]
_LOWEST_FLAT: Final = np.float32(0.02)  # below this a flat says nothing: the pixel is masked, not blown up
_NONE, _SATURATED = np.uint16(0), np.uint16(Mask.SATURATED)
_NO_FLAT, _NAN = np.uint16(Mask.NO_FLAT), np.uint16(Mask.NOT_A_NUMBER)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A trimmed detector: `sci` e-, `var` e-², `mask` bits of `Mask`, each (rows, columns).

    `overscan_adu` is the median overscan level of every amplifier.
    """

    sci: F4
    var: F4
    mask: NDArray[np.uint16]
    overscan_adu: tuple[float, ...]


def remove_signature(
    raw: Pixels,
    setup: DetectorSetup,
    bias: F4 | None = None,
    flat: F4 | None = None,
    bad: NDArray[np.bool_] | None = None,
) -> Calibrated:
    """Reduce a raw detector image.

    With e = (raw - overscan - bias) gain: sci = e / flat, var = (max(e, 0) + read_noise²) / flat² (Janesick 2001,
    *Scientific Charge-Coupled Devices*, chapter 2: shot and read noise; that of the masters is left out).

    Parameters
    ----------
    raw : (rows, columns) uint16 or float32, ADU
    bias : trimmed float32, ADU above the overscan
    flat : trimmed float32, 1 on average
    bad : trimmed bool, pixels that are bad

    Raises
    ------
    BadFrame
        An overscan holds NaN, or a calibration has another shape.
    """
    for name, plane in (("bias", bias), ("flat", flat), ("bad-pixel mask", bad)):
        if plane is not None and plane.shape != setup.shape:
            raise BadFrame(f"detector {setup.detector}: the {name} has {plane.shape}, the frame {setup.shape} pixels")
    sci, var = np.empty(setup.shape, np.float32), np.empty(setup.shape, np.float32)
    mask = bad_pixels(setup).astype(np.uint16)  # True is Mask.BAD
    if bad is not None:
        mask |= bad
    levels = []
    for amplifier in setup.amplifiers:
        level = overscan_level(raw, amplifier, setup.detector)
        levels.append(float(np.median(level)))
        place = amplifier.trimmed.slices
        _calibrate(
            raw[amplifier.data.slices],
            level,
            np.zeros((1, amplifier.data.shape[1]), np.float32) if bias is None else bias[place],
            np.ones((1, amplifier.data.shape[1]), np.float32) if flat is None else flat[place],
            np.float32(amplifier.gain_e_adu),
            np.float32(amplifier.read_noise_e**2),
            np.float32(amplifier.saturation_adu),
            sci[place],
            var[place],
            mask[place],
        )
    return Calibrated(sci, var, mask, tuple(levels))


def overscan_level(raw: Pixels, amplifier: Amplifier, detector: str = "") -> F4:
    """Overscan of every data row, ADU, float32: the median of that row's overscan pixels, or of the whole section.

    Without an overscan section it is 0.

    Raises
    ------
    BadFrame
        The overscan holds NaN.
    """
    rows = amplifier.data.shape[0]
    section = amplifier.overscan
    if section is None:
        return np.zeros(rows, np.float32)
    if not amplifier.overscan_per_row:
        level = float(np.median(raw[section.slices]))
        levels = np.full(rows, level, np.float32)
    elif raw.dtype == np.uint16:
        levels = _row_medians(raw, amplifier.data.y0, amplifier.data.y1, section.x0, section.x1)
    else:
        block = raw[amplifier.data.y0 : amplifier.data.y1, section.x0 : section.x1]
        levels = np.median(block, axis=1).astype(np.float32)
    if not np.isfinite(levels).all():
        raise BadFrame(f"detector {detector}, amplifier {amplifier.name}: the overscan holds NaN")
    return levels


def bad_pixels(setup: DetectorSetup) -> NDArray[np.bool_]:
    """Trimmed mask of the instrument file's bad sections."""
    bad = np.zeros(setup.shape, np.bool_)
    for section in setup.bad_sections:
        for amplifier in setup.amplifiers:
            data, place = amplifier.data, amplifier.trimmed
            y0, y1 = max(section.y0, data.y0) - data.y0, min(section.y1, data.y1) - data.y0
            x0, x1 = max(section.x0, data.x0) - data.x0, min(section.x1, data.x1) - data.x0
            if y0 < y1 and x0 < x1:
                bad[place.y0 + y0 : place.y0 + y1, place.x0 + x0 : place.x0 + x1] = True
    return bad


@inlined
def _count_median(row: Any, x0: Any, x1: Any) -> Any:
    """Median of row[x0:x1] of whole numbers by bisection and counting, which vectorises where sorting does not."""
    n = x1 - x0
    low = np.int32(row[x0])
    high = low
    for x in range(x0, x1):
        value = np.int32(row[x])
        low = min(low, value)
        high = max(high, value)
    half = (n + 1) // 2
    while low < high:
        middle = (low + high) >> 1
        count = np.int32(0)
        for x in range(x0, x1):
            count += np.int32(1) if np.int32(row[x]) <= middle else np.int32(0)
        if count >= half:
            high = middle
        else:
            low = middle + 1
    if n % 2 == 1:
        return np.float32(low)
    count = np.int32(0)
    upper = np.int32(65536)
    for x in range(x0, x1):
        value = np.int32(row[x])
        count += np.int32(1) if value <= low else np.int32(0)
        upper = min(upper, value if value > low else np.int32(65536))
    return np.float32(low) if count > half else (np.float32(low) + np.float32(upper)) * np.float32(0.5)


@kernel
def _row_medians(raw: Any, y0: Any, y1: Any, x0: Any, x1: Any) -> Any:
    levels = np.empty(y1 - y0, np.float32)
    for y in range(y0, y1):
        levels[y - y0] = _count_median(raw[y], x0, x1)
    return levels


@kernel
def _calibrate(raw: Any, level: Any, bias: Any, flat: Any, gain: Any, noise2: Any, full: Any,
               sci: Any, var: Any, mask: Any) -> None:  # fmt: skip
    """Fill sci, var and mask of one amplifier; all are views of its section, bias and flat may be one row for all."""
    zero, one, infinite = np.float32(0), np.float32(1), np.float32(np.inf)
    rows, columns = raw.shape
    for y in range(rows):
        # rows as one-dimensional arrays and choices without branches, so that the loop becomes vector instructions
        R, S, V, M = raw[y], sci[y], var[y], mask[y]
        B, F = bias[min(y, bias.shape[0] - 1)], flat[min(y, flat.shape[0] - 1)]
        overscan = level[y]
        for x in range(columns):
            value = np.float32(R[x])
            electrons = (value - overscan - B[x]) * gain
            usable = (F[x] > _LOWEST_FLAT) & (F[x] < infinite)
            inverse = one / (F[x] if usable else one)
            variance = (max(electrons, zero) + noise2) * inverse * inverse
            electrons *= inverse
            finite = (variance < infinite) & (abs(electrons) < infinite)
            S[x] = electrons if finite else zero
            V[x] = variance if finite else zero
            M[x] |= (
                (_SATURATED if value >= full else _NONE) | (_NONE if usable else _NO_FLAT) | (_NONE if finite else _NAN)
            )
