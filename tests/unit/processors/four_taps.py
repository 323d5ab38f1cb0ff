"""A detector read through four corners, for tests of what happens between amplifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.geometry import Amplifier, DetectorSetup, Section
from processors.readout_schema import Bleed, Corner, Crosstalk, Linearity

ROWS, COLUMNS, OVER = 40, 30, 20  # data of a tap, and its overscan
LEVELS = {"1": 1000.0, "2": 1100.0, "3": 1200.0, "4": 1300.0}
CORNERS: dict[str, Corner] = {"1": "lower_left", "2": "lower_right", "3": "upper_left", "4": "upper_right"}
GAIN, NOISE_E, FULL = 2.0, 8.0, 50000.0


def setup(
    crosstalk: Sequence[Crosstalk] = (), linearity: Linearity | None = None, bleed: Bleed | None = None
) -> DetectorSetup:
    """Overscans on the left and on the right, data in the middle; taps 1 and 2 below, 3 and 4 above."""
    taps = []
    for name, corner in CORNERS.items():
        y0 = ROWS if corner.startswith("upper") else 0
        right = corner.endswith("right")
        x0 = OVER + (COLUMNS if right else 0)
        over = 0 if not right else OVER + 2 * COLUMNS
        taps.append(
            Amplifier(
                name=name,
                data=Section(x0, x0 + COLUMNS, y0, y0 + ROWS),
                overscan=Section(over, over + OVER, y0, y0 + ROWS),
                overscan_per_row=True,
                gain_e_adu=GAIN,
                read_noise_e=NOISE_E,
                saturation_adu=FULL,
                trimmed=Section(x0 - OVER, x0 - OVER + COLUMNS, y0, y0 + ROWS),
                linearity=linearity,
                first_read=corner,
            )
        )
    return DetectorSetup("1", 0, tuple(taps), (2 * ROWS, 2 * COLUMNS), (), tuple(crosstalk), bleed)


def raw_image(signal_adu: NDArray[Any], rng: np.random.Generator | None = None) -> NDArray[np.float32]:
    """Raw pixels, ADU, of a trimmed image of what the converter sees above its level; read noise where asked."""
    made = setup()
    raw = np.zeros((2 * ROWS, 2 * (COLUMNS + OVER)), np.float32)
    for tap in made.amplifiers:
        assert tap.overscan is not None
        raw[tap.overscan.slices] = LEVELS[tap.name]
        raw[tap.data.slices] = LEVELS[tap.name] + signal_adu[tap.trimmed.slices]
    if rng is not None:
        raw += rng.normal(0, NOISE_E / GAIN, raw.shape).astype(np.float32)
    return raw


def partner(victim: Amplifier, aggressor: Amplifier, row: int, column: int) -> tuple[int, int]:
    """The aggressor's trimmed pixel that is read when the victim reads its pixel (row, column), counted in the tap."""
    place = []
    for number, size, word in ((row, ROWS, 0), (column, COLUMNS, 1)):
        far = ("upper", "right")[word]
        clock = size - 1 - number if (victim.first_read or "").split("_")[word] == far else number
        place.append(size - 1 - clock if (aggressor.first_read or "").split("_")[word] == far else clock)
    return aggressor.trimmed.y0 + place[0], aggressor.trimmed.x0 + place[1]
