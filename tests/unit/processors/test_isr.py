"""The reduction kernel against a slow, obvious reference, and against a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.errors import BadFrame
from processors.geometry import Amplifier, DetectorSetup, Section
from processors.isr.signature import overscan_level, remove_signature
from processors.planes import Mask
from tests.unit.processors import toy


def setup_of(per_row: bool = True, bad: tuple[Section, ...] = ()) -> DetectorSetup:
    a = Amplifier("A", Section(2, 22, 0, 24), Section(42, 52, 0, 24), per_row, 2.0, 5.0, 60000.0, Section(0, 20, 0, 24))
    b = Amplifier(
        "B", Section(22, 42, 0, 24), Section(52, 61, 0, 24), per_row, 3.0, 6.0, 50000.0, Section(20, 40, 0, 24)
    )
    return DetectorSetup("1", 0, (a, b), (24, 40), bad)


def reference(raw: Any, setup: DetectorSetup, bias: Any, flat: Any) -> tuple[Any, Any, Any]:
    """Plain numpy in double precision, one formula a line."""
    sci, var, mask = np.zeros(setup.shape), np.zeros(setup.shape), np.zeros(setup.shape, np.uint16)
    for amplifier in setup.amplifiers:
        place = amplifier.trimmed.slices
        assert amplifier.overscan is not None
        strip = raw[amplifier.data.y0 : amplifier.data.y1, amplifier.overscan.x0 : amplifier.overscan.x1].astype(float)
        level = np.median(strip, axis=1, keepdims=True) if amplifier.overscan_per_row else np.median(strip)
        data = raw[amplifier.data.slices].astype(float)
        electrons = (data - level - bias[place]) * amplifier.gain_e_adu
        usable = np.isfinite(flat[place]) & (flat[place] > 0.02)
        divisor = np.where(usable, flat[place], 1.0)
        variance = (np.maximum(electrons, 0) + amplifier.read_noise_e**2) / divisor**2
        broken = ~np.isfinite(electrons)
        sci[place] = np.where(broken, 0, electrons / divisor)
        var[place] = np.where(broken, 0, variance)
        mask[place] |= np.where(data >= amplifier.saturation_adu, Mask.SATURATED, 0).astype(np.uint16)
        mask[place] |= np.where(usable, 0, Mask.NO_FLAT).astype(np.uint16)
        mask[place] |= np.where(broken, Mask.NOT_A_NUMBER, 0).astype(np.uint16)
    return sci, var, mask


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_the_kernel_agrees_with_the_slow_reference(seed: int, kind: type) -> None:
    rng = np.random.default_rng(seed)
    raw: Any = rng.integers(900, 65536 if seed % 2 else 3000, (24, 62)).astype(kind)
    bias = rng.normal(0, 5, (24, 40)).astype(np.float32)
    flat = rng.uniform(0.5, 1.5, (24, 40)).astype(np.float32)
    flat[3, 4:8] = (0.0, np.nan, np.inf, -1.0)
    if kind is np.float32:
        raw[5, 6], raw[7, 30] = np.nan, np.inf
    setup = setup_of(per_row=seed < 3)
    made = remove_signature(raw, setup, bias, flat)
    sci, var, mask = reference(raw, setup, bias, flat)
    np.testing.assert_allclose(made.sci, sci, rtol=2e-6, atol=1e-2)
    np.testing.assert_allclose(made.var, var, rtol=1e-5, atol=1e-2)
    np.testing.assert_array_equal(made.mask, mask)
    assert made.sci.dtype == made.var.dtype == np.float32


@pytest.mark.parametrize("width", [1, 2, 9, 10, 50])
def test_row_medians_of_whole_numbers_agree_with_numpy(width: int) -> None:
    rng = np.random.default_rng(width)
    raw = rng.integers(0, 65536, (200, 60)).astype(np.uint16)
    raw[:100] = rng.integers(1000, 1004, (100, 60))
    amplifier = Amplifier(
        "A", Section(0, 5, 0, 200), Section(6, 6 + width, 0, 200), True, 1, 1, 1e5, Section(0, 5, 0, 200)
    )
    expected = np.median(raw[:, 6 : 6 + width], axis=1).astype(np.float32)
    np.testing.assert_array_equal(overscan_level(raw, amplifier), expected)


def test_truth_comes_back_within_the_noise() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(100, 5000, toy.SHAPE)
    made = remove_signature(toy.raw_image(truth, rng), setup_of())
    pull = (made.sci - truth) / np.sqrt(4.0**2 + 2.0**2)  # read noise 2 ADU at 2 or 3 e-/ADU; no photon noise was made
    assert abs(pull[:, :20].mean()) < 0.2
    assert pull.std() == pytest.approx(1.1, abs=0.25)
    assert made.overscan_adu == pytest.approx(toy.LEVELS, abs=0.6)


def test_bad_sections_and_a_mask_become_bits() -> None:
    raw = np.full((24, 62), 1000, np.uint16)
    bad = np.zeros((24, 40), bool)
    bad[0, 0] = True
    made = remove_signature(raw, setup_of(bad=(Section(21, 24, 10, 12),)), bad=bad)
    expected = np.zeros((24, 40), np.uint16)
    expected[10:12, 19:22] = Mask.BAD
    expected[0, 0] = Mask.BAD
    np.testing.assert_array_equal(made.mask, expected)


def test_what_cannot_be_reduced_is_a_bad_frame(tmp_path: Path) -> None:
    raw = np.full((24, 62), 1000, np.float32)
    raw[3, 42:52] = np.nan
    with pytest.raises(BadFrame, match="detector 1, amplifier A: the overscan holds NaN"):
        remove_signature(raw, setup_of())
    with pytest.raises(BadFrame, match="the flat has"):
        remove_signature(np.ones((24, 62), np.uint16), setup_of(), flat=np.ones((3, 3), np.float32))
