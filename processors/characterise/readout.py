"""In which order an amplifier's pixels are read, as far as the geometry tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from processors.geometry import Amplifier


def serial_step(amplifier: Amplifier) -> int:
    """+1 where columns are read from left to right, -1 from right to left, 0 where nothing tells.

    The instrument file says so, or else the serial overscan, which is what comes after the last pixel of a row.
    """
    overscan, data = amplifier.overscan, amplifier.data
    if amplifier.first_read is not None:
        return 1 if amplifier.first_read.endswith("left") else -1
    if overscan is None:
        return 0
    if overscan.x0 >= data.x1:
        return 1
    return -1 if overscan.x1 <= data.x0 else 0


def in_order_of_reading(amplifier: Amplifier, amplifiers: Sequence[Amplifier], image: NDArray[Any]) -> NDArray[Any]:
    """The amplifier's image turned so that pixels of one index are read at one time in all amplifiers.

    Columns follow the serial overscan; without one amplifiers side by side in pairs are taken for mirror images. Of two
    rows of amplifiers the upper is taken to be read from the top.
    """
    step = serial_step(amplifier)
    if step == 0:
        columns = sorted({other.data.x0 for other in amplifiers})
        step = -1 if len(columns) == 2 and amplifier.data.x0 == columns[1] else 1
    rows = sorted({other.data.y0 for other in amplifiers})
    upper = len(rows) == 2 and amplifier.data.y0 == rows[1]
    if amplifier.first_read is not None:
        upper = amplifier.first_read.startswith("upper")
    return image[:: -1 if upper else 1, ::step]
