"""Bleed trails: against a slow reference on random masks, and in a reduction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.isr.bleed import mark_bleeds
from processors.isr.signature import remove_signature
from processors.planes import Mask
from processors.readout_schema import Bleed
from tests.unit.processors import four_taps
from tests.unit.processors.four_taps import COLUMNS, FULL, ROWS

SHAPE = (2 * ROWS, 2 * COLUMNS)


def slow_bleeds(mask: NDArray[np.uint16], bleed: Bleed) -> NDArray[np.uint16]:
    """Every run of every column, one after the other."""
    made = mask.copy()
    rows, columns = mask.shape
    for x in range(columns):
        y = 0
        while y < rows:
            end = y
            while end < rows and mask[end, x] & Mask.SATURATED:
                end += 1
            if end - y >= bleed.run:
                for v in range(max(0, y - bleed.grow), min(rows, end + bleed.grow)):
                    for u in range(max(0, x - bleed.sides), min(columns, x + bleed.sides + 1)):
                        if not mask[v, u] & Mask.SATURATED:
                            made[v, u] |= Mask.BLEED
            y = max(end, y + 1)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_bleed_trails_grow_as_in_the_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 40), np.uint16)
    mask[rng.random(mask.shape) < 0.02] = Mask.BAD
    for _ in range(8):
        y, x = rng.integers(0, 60), rng.integers(0, 40)
        mask[y : y + rng.integers(1, 25), x] |= np.uint16(Mask.SATURATED)
    bleed = Bleed(run=int(rng.integers(2, 8)), grow=int(rng.integers(0, 6)), sides=int(rng.integers(0, 3)))
    expected = slow_bleeds(mask, bleed)
    mark_bleeds(mask, np.bitwise_or.reduce(mask, axis=1).astype(np.uint16), bleed)
    np.testing.assert_array_equal(mask, expected)


def test_a_reduction_marks_its_bleed_trails() -> None:
    signal = np.zeros(SHAPE)
    signal[10:30, 12] = FULL
    made = remove_signature(four_taps.raw_image(signal), four_taps.setup(bleed=Bleed(run=5, grow=3, sides=1)))
    assert set(np.flatnonzero(made.mask[:, 12] == Mask.BLEED)) == {7, 8, 9, 30, 31, 32}
    assert (made.mask[7:33, [11, 13]] == Mask.BLEED).all()
    assert (made.mask[10:30, 12] == Mask.SATURATED).all()
