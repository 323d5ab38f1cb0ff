"""Ghosts of bright stars in the other amplifiers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.readout import in_order_of_reading
from processors.checks.result import CheckResult
from processors.checks.view import UNLIT, DetectorView
from processors.planes import Mask

_FEWEST: Final = 30  # saturated pixels that tell anything
_MOST: Final = 20_000
_BESIDE: Final = 25  # pixels from a ghost to the sky that it is compared with
_SIGMAS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Ghost:
    """What an amplifier has of another's signal: coefficient (ADU over ADU), its error, and pixels it comes from."""

    coefficient: float
    error: float
    number: int


def check_crosstalk(view: DetectorView) -> Iterator[CheckResult]:
    """Strongest ghost in an amplifier of the saturated pixels of another, over their signal, after any correction.

    Ghosts of less than 5 times their error count as none. No saturated pixels, no result.
    """
    amplifiers = view.setup.amplifiers
    if len(amplifiers) < 2 or view.frame.identity.obstype in UNLIT:
        return
    if len({amplifier.data.shape for amplifier in amplifiers}) > 1:
        return
    full = {a.name: np.count_nonzero(view.calibrated.mask[a.trimmed.slices] & Mask.SATURATED) for a in amplifiers}
    turned: dict[str, tuple[Any, Any]] = {}
    for victim in amplifiers:
        found = []
        for aggressor in amplifiers:
            if aggressor is victim or full[aggressor.name] < _FEWEST:
                continue
            for amplifier in (victim, aggressor):
                if amplifier.name not in turned:
                    place = amplifier.trimmed.slices
                    sci = in_order_of_reading(amplifier, amplifiers, view.calibrated.sci[place])
                    mask = in_order_of_reading(amplifier, amplifiers, view.calibrated.mask[place])
                    turned[amplifier.name] = (sci, mask)
            ghost = measure_ghost(*turned[aggressor.name], *turned[victim.name])
            if ghost is not None:
                gains = victim.gain_e_adu / aggressor.gain_e_adu
                found.append((abs(ghost.coefficient) / gains, ghost.error / gains, aggressor.name, ghost.number))
        if found:
            size, error, name, number = max(found)
            value = size if size > _SIGMAS * error else 0.0
            message = f"{size:.2g} ± {error:.1g} of amplifier {name}, from {number} saturated pixels"
            yield view.judge("crosstalk", victim, value, "fraction", "CROSSTALK", message)


def measure_ghost(
    aggressor: NDArray[np.float32],
    aggressor_mask: NDArray[np.uint16],
    victim: NDArray[np.float32],
    victim_mask: NDArray[np.uint16],
) -> Ghost | None:
    """Signal of a victim where the aggressor is saturated, above that beside it, over the aggressor's signal.

    All (rows, columns) in the order of reading, e-. Both sides at the same distance are taken, so a slope of the sky
    cancels; medians, so that stars do not count. None with fewer than 30 pixels.
    """
    row, column = np.nonzero(aggressor_mask & np.uint16(Mask.SATURATED))
    inside = (column >= _BESIDE) & (column < victim.shape[1] - _BESIDE)
    row, column = row[inside], column[inside]
    if row.size > _MOST:
        chosen = np.linspace(0, row.size - 1, _MOST).astype(np.int64)
        row, column = row[chosen], column[chosen]
    usable = victim_mask[row, column] == 0
    for side in (-_BESIDE, _BESIDE):
        usable &= (victim_mask[row, column + side] == 0) & (aggressor_mask[row, column + side] == 0)
    row, column = row[usable], column[usable]
    if row.size < _FEWEST:
        return None
    beside = (victim[row, column - _BESIDE] + victim[row, column + _BESIDE]) / np.float32(2)
    ghost = victim[row, column] - beside
    signal = float(np.median(aggressor[row, column]))
    value = float(np.median(ghost))
    sigma = 1.4826 * float(np.median(np.abs(ghost - value)))
    return Ghost(value / signal, math.sqrt(math.pi / 2 / row.size) * sigma / signal, int(row.size))
