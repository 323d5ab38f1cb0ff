"""What is subtracted besides the level of each row: bias, overscan by column, crosstalk, non-linearity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.geometry import Amplifier, DetectorSetup
from processors.isr.overscan import F4, Overscan, Raw
from processors.kernels import kernel
from processors.planes import Mask
from processors.readout_schema import Corner, Crosstalk, Linearity

_LONGEST_TABLE: Final = 1 << 20  # ADU


def pedestal(raw: Raw, setup: DetectorSetup, overscans: Sequence[Overscan], bias: F4 | None) -> F4 | None:
    """Plane (trimmed, ADU, float32) that is to be subtracted from the raw values besides the level of their row.

    It is the bias itself, unless the overscan is taken by column, or amplifiers have crosstalk or a linearity. In this
    order: x = raw - level - columns - crosstalk - bias; what is left is true(x) of the amplifier's linearity. The
    aggressor's signal is what it reads above its overscan, at the same moment after the start of the readout.

    Raises
    ------
    BadFrame
        Amplifiers with crosstalk are not read alike.
    """
    special = any(overscan.columns is not None for overscan in overscans)
    if not (special or setup.crosstalk or any(amplifier.linearity for amplifier in setup.amplifiers)):
        return bias
    plane = np.zeros(setup.shape, np.float32) if bias is None else np.array(bias, np.float32)
    measured = dict(zip((amplifier.name for amplifier in setup.amplifiers), overscans, strict=True))
    named = {amplifier.name: amplifier for amplifier in setup.amplifiers}
    for amplifier in setup.amplifiers:
        columns = measured[amplifier.name].columns
        if columns is not None:
            plane[amplifier.trimmed.slices] += columns
    for entry in setup.crosstalk:
        victim, aggressor = named[entry.victim], named[entry.aggressor]
        signal = raw[aggressor.data.slices] - measured[entry.aggressor].level[:, None]
        # a NaN of the aggressor says nothing about its ghost
        ghost = np.nan_to_num(signal, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        plane[victim.trimmed.slices] += np.float32(entry.coefficient) * _seen_by(ghost, aggressor, victim, setup)
    for amplifier in setup.amplifiers:
        if amplifier.linearity is not None:
            table = correction_table(amplifier.linearity, amplifier.saturation_adu)
            level = measured[amplifier.name].level
            _linearise(raw[amplifier.data.slices], level, table, plane[amplifier.trimmed.slices])
    return plane


def mark_ghosts(raw: Raw, setup: DetectorSetup, mask: NDArray[np.uint16]) -> None:
    """Set `CROSSTALK` where a saturated aggressor's ghost is stronger than the victim's read noise, in place."""
    named = {amplifier.name: amplifier for amplifier in setup.amplifiers}
    for entry in setup.crosstalk:
        victim, aggressor = named[entry.victim], named[entry.aggressor]
        if not _matters(entry, victim, aggressor):
            continue
        saturated = raw[aggressor.data.slices] >= np.float32(aggressor.saturation_adu)
        if saturated.any():
            here = _seen_by(saturated, aggressor, victim, setup)
            mask[victim.trimmed.slices][here] |= np.uint16(Mask.CROSSTALK)


def correction_table(linearity: Linearity, saturation_adu: float) -> F4:
    """True less measured signal at whole ADU from 0 to the saturation, float32."""
    x = np.arange(min(math.ceil(saturation_adu), _LONGEST_TABLE) + 2, dtype=np.float64)
    if linearity.polynomial is not None:
        correction = np.polynomial.polynomial.polyval(x, np.asarray(linearity.polynomial)) - x
    else:
        measured, true = np.array(linearity.table).T
        correction = np.interp(x, measured, true - measured)
    return np.asarray(correction, np.float32)


def _matters(entry: Crosstalk, victim: Amplifier, aggressor: Amplifier) -> bool:
    return abs(entry.coefficient) * aggressor.saturation_adu > victim.read_noise_e / victim.gain_e_adu


def _seen_by(image: NDArray[Any], aggressor: Amplifier, victim: Amplifier, setup: DetectorSetup) -> NDArray[Any]:
    """An image of the aggressor with every pixel where the victim reads at the same moment."""
    if victim.data.shape != aggressor.data.shape or victim.first_read is None or aggressor.first_read is None:
        names = f"{victim.name} and {aggressor.name}"
        raise BadFrame(f"detector {setup.detector}: amplifiers {names} have crosstalk and are not read alike")
    return _from(aggressor.first_read, _from(victim.first_read, image))


def _from(corner: Corner, image: NDArray[Any]) -> NDArray[Any]:
    """An image turned so that `corner` comes to the lower left, or back."""
    return image[:: -1 if corner.startswith("upper") else 1, :: -1 if corner.endswith("right") else 1]


@kernel
def _linearise(raw: Any, level: Any, table: Any, plane: Any) -> None:
    """Take the correction of each signal raw - level - plane off the plane; above the table its end holds.

    Below 0 the first step goes on: were noise below the level left alone and that above it scaled, the mean would move.
    """
    last = table.size - 2
    for y in range(raw.shape[0]):
        for x in range(raw.shape[1]):
            signal = np.float32(raw[y, x]) - level[y] - plane[y, x]
            correction = table[0]
            if signal >= last:
                correction = table[last]
            elif signal > 0:
                at = int(signal)
                correction += table[at] - table[0] + (table[at + 1] - table[at]) * (signal - np.float32(at))
            elif signal < 0:  # a NaN is none of these
                correction += (table[1] - table[0]) * signal
            plane[y, x] -= correction
