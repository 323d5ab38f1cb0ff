"""What `remove_signature` is not made for is refused by name: never written past the end, never wrapped around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from processors.errors import BadFrame
from processors.isr.overscan import overscan_step
from processors.isr.signature import empty_planes, remove_signature
from processors.planes import Mask
from processors.readout_schema import Linearity
from tests.unit.processors import four_taps

SETUP = four_taps.setup()
RAW = four_taps.raw_image(np.full(SETUP.shape, 500.0)).astype(np.uint16)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda sci, var, mask: (sci[:5, :5].copy(), var[:5, :5].copy(), mask[:5, :5].copy()),
        lambda sci, var, mask: (sci.astype(np.float64), var, mask),
        lambda sci, var, mask: (sci, var, mask.astype(np.uint8)),
        lambda sci, var, mask: (np.asfortranarray(sci), var, mask),
    ],
    ids=["small", "float64", "uint8", "columns first"],
)
def test_room_that_does_not_fit_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="out is"):
        remove_signature(RAW, SETUP, out=wrong(*(np.zeros_like(plane) for plane in empty_planes(SETUP))))


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.int16, np.float32])
def test_a_mask_that_would_wrap_around_is_refused(kind: Any) -> None:
    """65536 as uint16 is 0: a bad pixel would become a good one."""
    with pytest.raises(BadFrame, match="bad-pixel mask is"):
        remove_signature(RAW, SETUP, bad=np.full(SETUP.shape, 1, kind))


def test_pixels_that_are_no_real_numbers_are_refused() -> None:
    with pytest.raises(BadFrame, match="complex"):
        remove_signature(RAW + 1j, SETUP)  # type: ignore[arg-type]
    with pytest.raises(BadFrame, match="3 dimensions"):
        remove_signature(RAW[None], SETUP)


def test_what_float32_cannot_hold_is_masked() -> None:
    raw = RAW.astype(np.float64)
    tap = SETUP.amplifiers[0]
    raw[tap.data.y0 + 3, tap.data.x0 + 4] = 1e300
    made = remove_signature(raw, SETUP)  # type: ignore[arg-type]
    bits = made.mask[tap.trimmed.y0 + 3, tap.trimmed.x0 + 4]
    assert bits & Mask.NOT_A_NUMBER
    assert np.isfinite(made.sci).all()
    assert np.count_nonzero(made.mask) == 1


def test_a_linearity_does_not_move_the_mean_of_noise() -> None:
    """Were noise above the level scaled and that below left alone, no light would become light."""
    setup = four_taps.setup(linearity=Linearity(polynomial=(0, 1.2)))
    raw = four_taps.raw_image(np.zeros(setup.shape), np.random.default_rng(3))
    for tap in setup.amplifiers:
        assert tap.overscan is not None
        raw[tap.overscan.slices] = four_taps.LEVELS[tap.name]
    plain, made = remove_signature(raw, SETUP).sci, remove_signature(raw, setup).sci
    np.testing.assert_allclose(made, 1.2 * plain, atol=2e-3)


def test_a_step_of_what_is_not_a_number_is_none() -> None:
    profile = np.full(300, 1000, np.float32)
    profile[150] = np.nan
    assert np.isnan(overscan_step(profile))
