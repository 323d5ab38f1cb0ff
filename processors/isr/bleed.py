"""Bleed trails: runs of saturated pixels along the columns, whose ends and sides are wrong too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.kernels import kernel
from processors.planes import Mask
from processors.readout_schema import Bleed

_SATURATED, _BLEED, _NONE = np.uint16(Mask.SATURATED), np.uint16(Mask.BLEED), np.uint16(0)


def mark_bleeds(mask: NDArray[np.uint16], bits: NDArray[np.uint16], bleed: Bleed) -> None:
    """Set `BLEED` at the ends and sides of bleed trails, in place.

    Parameters
    ----------
    mask : (rows, columns), with its SATURATED pixels
    bits : (rows,), all bits that are set anywhere in each row
    bleed : from how many saturated pixels on it is a trail, and how far it grows
    """
    if (bits & _SATURATED).any():
        _grow(mask, bits, bleed.run, bleed.grow, bleed.sides)


@kernel
def _grow(mask: Any, bits: Any, least: Any, grow: Any, sides: Any) -> None:
    rows, columns = mask.shape
    run = np.zeros(columns, np.int32)  # saturated pixels that end below this row
    running = False
    for y in range(rows + 1):
        here = y < rows and (bits[y] & _SATURATED) != _NONE
        if not (here or running):
            continue
        running = False
        for x in range(columns):
            if here and (mask[y, x] & _SATURATED) != _NONE:
                run[x] += 1
                running = True
            elif run[x] > 0:
                if run[x] >= least:
                    _mark(mask, max(0, y - run[x] - grow), min(rows, y + grow), max(0, x - sides), x + sides + 1)
                run[x] = 0


@kernel
def _mark(mask: Any, y0: Any, y1: Any, x0: Any, x1: Any) -> None:
    """Set the bit in a rectangle, but for pixels that are saturated themselves."""
    for y in range(y0, y1):
        for x in range(x0, min(x1, mask.shape[1])):
            mask[y, x] |= _NONE if (mask[y, x] & _SATURATED) != _NONE else _BLEED
