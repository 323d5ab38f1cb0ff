"""Instrument signature removal of one detector: overscan, bias, gain, dark, flat, variance and mask in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.geometry import DetectorSetup, Section
from processors.isr.bleed import mark_bleeds
from processors.isr.fringe import subtract_fringe
from processors.isr.overscan import F4, Overscan, Raw, measure_overscan, overscan_level
from processors.isr.pedestal import mark_ghosts, pedestal
from processors.kernels import kernel
from processors.planes import Mask

__all__ = ["Calibrated", "Planes", "empty_planes", "overscan_level", "remove_signature"]

U2 = NDArray[np.uint16]
Planes = tuple[F4, F4, U2]  # sci, var, mask of one shape, C-contiguous
_LOWEST_FLAT: Final = np.float32(0.02)  # below this a flat says nothing: the pixel is masked, not blown up
_NONE, _SATURATED = np.uint16(0), np.uint16(Mask.SATURATED)
_NO_FLAT, _NAN = np.uint16(Mask.NO_FLAT), np.uint16(Mask.NOT_A_NUMBER)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A trimmed detector: `sci` e-, `var` e-², `mask` bits of `Mask`, each (rows, columns).

    Of every amplifier: `overscan_adu`, the median overscan level, and `overscan_step_adu`, how much it changes along
    the overscan (`overscan.overscan_step`). `fringe_scale` is what the fringe frame was multiplied by.
    """

    sci: F4
    var: F4
    mask: U2
    overscan_adu: tuple[float, ...]
    overscan_step_adu: tuple[float, ...] = ()
    fringe_scale: float | None = None


def remove_signature(
    raw: Raw,
    setup: DetectorSetup,
    bias: F4 | None = None,
    flat: F4 | None = None,
    bad: NDArray[np.bool_] | U2 | None = None,
    *,
    dark_e_s: F4 | None = None,
    exptime_s: float = 0.0,
    fringe: F4 | None = None,
    out: Planes | None = None,
) -> Calibrated:
    """Reduce a raw detector image.

    With x = raw - overscan - crosstalk - bias and e = true(x) gain, where true() is the amplifier's linearity:
    sci = (e - dark exptime) / flat - fringe, var = (max(e, 0) + read_noise²) / flat² (Janesick 2001, *Scientific
    Charge-Coupled Devices*, chapter 2: shot noise, that of the dark current too, and read noise; the noise of the
    masters is left out).

    Parameters
    ----------
    raw : (rows, columns) uint16 or float32, ADU
    bias : trimmed float32, ADU above the overscan
    flat : trimmed float32, 1 on average
    bad : trimmed; bool, pixels that are bad, or uint16, bits of `Mask`
    dark_e_s : trimmed float32, dark current in e-/s
    exptime_s : time for which the dark current was gathered
    fringe : trimmed float32, a fringe frame in any unit; it is scaled to what is seen of it in the sky
    out : arrays to fill, as `empty_planes` makes them. Used again for detector after detector they spare the system's
        zeroing of fresh memory, which takes longer than the reduction

    Raises
    ------
    BadFrame
        A section leaves the image, an overscan holds NaN, a calibration has another shape or no exposure time, the
        mask is neither bool nor bits, or the raw pixels are no real numbers.
    ValueError
        `out` has another shape or type than `empty_planes` gives.
    """
    _check_calibrations(setup, bias, flat, bad, dark_e_s, fringe)
    if dark_e_s is not None and not (math.isfinite(exptime_s) and exptime_s >= 0):
        raise BadFrame(f"detector {setup.detector}: a dark for an exposure time of {exptime_s} s")
    setup.check_shape(raw.shape)
    raw = _as_kernels_want(raw, setup.detector)
    overscans = [measure_overscan(raw, amplifier, setup.detector) for amplifier in setup.amplifiers]
    subtracted = pedestal(raw, setup, overscans, bias)
    sci, var, mask = empty_planes(setup) if out is None else _room(out, setup)
    places, numbers, levels = _tables(setup, overscans)
    bits = _calibrate(
        raw,
        places,
        numbers,
        levels,
        _one_row(setup, 0.0) if subtracted is None else np.ascontiguousarray(subtracted, np.float32),
        None if dark_e_s is None else np.ascontiguousarray(dark_e_s, np.float32),
        np.float32(exptime_s),
        _one_row(setup, 1.0) if flat is None else np.ascontiguousarray(flat, np.float32),
        None if bad is None else np.ascontiguousarray(bad, np.uint16),  # True is Mask.BAD
        sci,
        var,
        mask,
    )
    for place in bad_places(setup):
        mask[place.slices] |= np.uint16(Mask.BAD)
    if setup.bleed is not None:
        mark_bleeds(mask, bits, setup.bleed)
    mark_ghosts(raw, setup, mask)
    scale = None if fringe is None else subtract_fringe(sci, var, mask, fringe)
    middle = tuple(float(np.median(overscan.level)) for overscan in overscans)
    return Calibrated(sci, var, mask, middle, tuple(overscan.step for overscan in overscans), scale)


def empty_planes(setup: DetectorSetup) -> Planes:
    """Arrays for `remove_signature` to fill: sci and var float32, mask uint16."""
    return np.empty(setup.shape, np.float32), np.empty(setup.shape, np.float32), np.empty(setup.shape, np.uint16)


def bad_places(setup: DetectorSetup) -> Iterator[Section]:
    """The instrument file's bad sections in the trimmed image, cut at the amplifiers' edges."""
    for section in setup.bad_sections:
        for amplifier in setup.amplifiers:
            data, place = amplifier.data, amplifier.trimmed
            y0, y1 = max(section.y0, data.y0) - data.y0, min(section.y1, data.y1) - data.y0
            x0, x1 = max(section.x0, data.x0) - data.x0, min(section.x1, data.x1) - data.x0
            if y0 < y1 and x0 < x1:
                yield Section(place.x0 + x0, place.x0 + x1, place.y0 + y0, place.y0 + y1)


def _check_calibrations(
    setup: DetectorSetup, bias: F4 | None, flat: F4 | None, bad: NDArray[Any] | None, dark: F4 | None, fringe: F4 | None
) -> None:
    planes = {"bias": bias, "flat": flat, "bad-pixel mask": bad, "dark": dark, "fringe frame": fringe}
    for name, plane in planes.items():
        if plane is not None and plane.shape != setup.shape:
            raise BadFrame(f"detector {setup.detector}: the {name} has {plane.shape}, the frame {setup.shape} pixels")
    if bad is not None and not np.can_cast(bad.dtype, np.uint16):  # a wider number would lose its high bits
        raise BadFrame(f"detector {setup.detector}: the bad-pixel mask is {bad.dtype}, neither bool nor uint16")


def _room(out: Planes, setup: DetectorSetup) -> Planes:
    """The arrays to fill: the kernels do not look where they write."""
    kinds = np.dtype(np.float32), np.dtype(np.float32), np.dtype(np.uint16)
    planes: tuple[NDArray[Any], ...] = out
    for plane, kind in zip(planes, kinds, strict=True):
        if plane.shape != setup.shape or plane.dtype != kind or not plane.flags.carray:
            raise ValueError(f"out is {plane.dtype} {plane.shape}, where {kind} {setup.shape}, C-contiguous, belongs")
    return out


def _as_kernels_want(raw: NDArray[Any], detector: str) -> Raw:
    """Raw pixels as the kernels know them: uint16 or float32, native, C-contiguous; copied only where needed."""
    if raw.dtype.newbyteorder("=") == np.uint16:
        return np.ascontiguousarray(raw, np.uint16)
    if raw.dtype.kind not in "biuf":
        raise BadFrame(f"detector {detector}: raw pixels of type {raw.dtype}")
    with np.errstate(over="ignore"):  # becomes infinite, and is masked as that
        return np.ascontiguousarray(raw, np.float32)


def _one_row(setup: DetectorSetup, value: float) -> F4:
    """One row that stands for all, where a calibration is missing."""
    return np.full((1, setup.shape[1]), value, np.float32)


def _tables(setup: DetectorSetup, overscans: Sequence[Overscan]) -> tuple[NDArray[np.int64], F4, F4]:
    """The amplifiers as the kernel wants them: places, numbers, and overscan level by amplifier and trimmed row."""
    places, numbers = [], []
    levels = np.zeros((len(overscans), setup.shape[0]), np.float32)
    for number, (a, overscan) in enumerate(zip(setup.amplifiers, overscans, strict=True)):
        places.append((a.data.y0, a.data.x0, a.trimmed.y0, a.trimmed.y1, a.trimmed.x0, a.trimmed.x1))
        numbers.append((a.gain_e_adu, a.read_noise_e**2, a.saturation_adu))
        levels[number, a.trimmed.y0 : a.trimmed.y1] = overscan.level
    return np.array(places, np.int64), np.array(numbers, np.float32), levels


@kernel
def _calibrate(raw: Any, places: Any, numbers: Any, levels: Any, subtracted: Any, dark: Any, exptime: Any, flat: Any,
               bad: Any, sci: Any, var: Any, mask: Any) -> Any:  # fmt: skip
    """Fill sci, var and mask; returns all bits that are set anywhere in each row.

    `subtracted` and `flat` may be one row for all, `dark` and `bad` None: that is decided at compile time. Rows are
    the outer loop, amplifiers the inner one, so that memory is written in its order.
    """
    zero, one, infinite = np.float32(0), np.float32(1), np.float32(np.inf)
    rows = sci.shape[0]
    bits = np.zeros(rows, np.uint16)
    for y in range(rows):
        seen = _NONE
        for a in range(places.shape[0]):
            raw_y, raw_x, y0, y1, x0, x1 = places[a]
            if y < y0 or y >= y1:
                continue
            # rows as one-dimensional arrays and choices without branches, so that the loop becomes vector instructions
            columns = x1 - x0
            R = raw[raw_y + y - y0, raw_x : raw_x + columns]
            S, V, M = sci[y, x0:x1], var[y, x0:x1], mask[y, x0:x1]
            B, F = subtracted[min(y, subtracted.shape[0] - 1), x0:x1], flat[min(y, flat.shape[0] - 1), x0:x1]
            if dark is not None:
                D = dark[y, x0:x1]
            if bad is not None:
                K = bad[y, x0:x1]
            overscan, gain, noise2, full = levels[a, y], numbers[a, 0], numbers[a, 1], numbers[a, 2]
            for x in range(columns):
                value = np.float32(R[x])
                electrons = (value - overscan - B[x]) * gain
                usable = (F[x] > _LOWEST_FLAT) & (F[x] < infinite)
                inverse = one / (F[x] if usable else one)
                variance = (max(electrons, zero) + noise2) * inverse * inverse
                if dark is not None:
                    electrons -= D[x] * exptime
                electrons *= inverse
                finite = (variance < infinite) & (abs(electrons) < infinite)
                S[x] = electrons if finite else zero
                V[x] = variance if finite else zero
                found = (_SATURATED if value >= full else _NONE) | (_NONE if usable else _NO_FLAT)
                found |= _NONE if finite else _NAN
                if bad is not None:
                    found |= K[x]
                M[x] = found
                seen |= found
        bits[y] = seen
    return bits
