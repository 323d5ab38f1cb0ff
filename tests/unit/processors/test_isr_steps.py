"""Dark, crosstalk, linearity, gains and the caller's arrays: references, and truth asked back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.geometry import with_gains
from processors.isr.pedestal import correction_table
from processors.isr.signature import empty_planes, remove_signature
from processors.planes import MASK_CARDS, Mask
from processors.readout_schema import Crosstalk, Linearity
from tests.unit.processors import four_taps
from tests.unit.processors.four_taps import COLUMNS, FULL, GAIN, NOISE_E, ROWS

SHAPE = (2 * ROWS, 2 * COLUMNS)
CROSSTALK = [
    Crosstalk(victim=victim, aggressor=aggressor, coefficient=(int(victim) * 3 - int(aggressor)) * 4e-4)
    for victim in "1234"
    for aggressor in "1234"
    if victim != aggressor
]
# what the converter gives falls 2.4 % behind at 40,000 ADU
CURVE = Linearity(polynomial=(0.0, 1.0, 6e-7))
TABLE = Linearity(table=((0, 0), (10000, 10060), (30000, 30540), (45000, 46215)))


def scene(rng: np.random.Generator) -> NDArray[np.float64]:
    """Sky and a few bright spots, ADU."""
    light = np.full(SHAPE, 300.0)
    for y, x in rng.integers(2, (SHAPE[0] - 2, SHAPE[1] - 2), (12, 2)):
        light[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(5000, 40000)
    np.minimum(light, 48000, out=light)
    return light


def with_ghosts(signal: NDArray[Any]) -> NDArray[np.float64]:
    """What the amplifiers give when each hears the others, pixel by pixel."""
    taps = {tap.name: tap for tap in four_taps.setup().amplifiers}
    heard = signal.copy()
    for entry in CROSSTALK:
        victim, aggressor = taps[entry.victim], taps[entry.aggressor]
        for row in range(ROWS):
            for column in range(COLUMNS):
                there = four_taps.partner(victim, aggressor, row, column)
                heard[victim.trimmed.y0 + row, victim.trimmed.x0 + column] += entry.coefficient * signal[there]
    return heard


def test_ghosts_of_other_amplifiers_go() -> None:
    signal = scene(np.random.default_rng(1))
    heard = with_ghosts(signal)
    plain = remove_signature(four_taps.raw_image(heard), four_taps.setup()).sci / GAIN
    made = remove_signature(four_taps.raw_image(heard), four_taps.setup(CROSSTALK)).sci / GAIN
    assert np.abs(plain - signal).max() > 100
    # of second order: the aggressor is taken with the ghosts that lie on it
    assert np.abs(made - signal).max() < 12 * (1e-2 * 4e-3) * 48000
    assert np.median(np.abs(made - signal)) < 0.05


def test_crosstalk_leaves_no_bias_over_20_seeds() -> None:
    left = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        signal = scene(rng)
        made = remove_signature(four_taps.raw_image(with_ghosts(signal), rng), four_taps.setup(CROSSTALK))
        left.append(((made.sci / GAIN - signal) / (NOISE_E / GAIN)).ravel())
    every = np.concatenate(left)
    assert abs(every.mean()) < 0.03
    assert every.std() == pytest.approx(math.sqrt(1 + 1.57 / four_taps.OVER), rel=0.03)


def test_ghosts_of_saturated_pixels_are_marked_in_the_victims() -> None:
    signal = np.zeros(SHAPE)
    signal[5, 7] = 60000
    raw = four_taps.raw_image(signal)
    only = [
        Crosstalk(victim="4", aggressor="1", coefficient=1e-3),
        Crosstalk(victim="2", aggressor="1", coefficient=1e-6),
    ]
    made = remove_signature(raw, four_taps.setup(only))
    expected = np.zeros(SHAPE, np.uint16)
    expected[5, 7] = Mask.SATURATED
    expected[2 * ROWS - 1 - 5, 2 * COLUMNS - 1 - 7] = Mask.CROSSTALK  # in 2 the ghost is far below the read noise
    np.testing.assert_array_equal(made.mask, expected)


def test_a_nan_has_no_ghost() -> None:
    raw = four_taps.raw_image(np.full(SHAPE, 100.0))
    raw[5, four_taps.OVER + 7] = np.nan
    made = remove_signature(raw, four_taps.setup(CROSSTALK))
    assert (made.mask == Mask.NOT_A_NUMBER).sum() == 1
    assert np.isfinite(made.sci).all()


def test_crosstalk_between_amplifiers_that_are_not_read_alike_is_a_bad_frame() -> None:
    given = four_taps.setup(CROSSTALK)
    odd = replace(given, amplifiers=(replace(given.amplifiers[0], first_read=None), *given.amplifiers[1:]))
    with pytest.raises(BadFrame, match="have crosstalk and are not read alike"):
        remove_signature(four_taps.raw_image(np.zeros(SHAPE)), odd)


@pytest.mark.parametrize("linearity", [CURVE, TABLE])
@pytest.mark.parametrize("seed", range(20))
def test_linearity_is_mended(linearity: Linearity, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 44000, SHAPE)
    fine = np.linspace(0, 46000, 460001)
    if linearity.polynomial is not None:
        curve = np.polynomial.polynomial.polyval(fine, linearity.polynomial)
    else:
        curve = np.interp(fine, *np.array(linearity.table).T)
    measured = np.interp(true, curve, fine)
    bias = rng.normal(0, 5, SHAPE).astype(np.float32)
    raw = four_taps.raw_image(measured + bias)
    made = remove_signature(raw, four_taps.setup(linearity=linearity), bias)
    np.testing.assert_allclose(made.sci / GAIN, true, atol=0.05)
    plain = remove_signature(raw, four_taps.setup(), bias)
    assert np.abs(plain.sci / GAIN - true).max() > 500


def test_the_correction_table_goes_through_the_pairs_and_holds_beyond_them() -> None:
    table = correction_table(TABLE, 60000)
    assert table[[0, 10000, 30000, 45000, 60000]] == pytest.approx([0, 60, 540, 1215, 1215])
    assert table[20000] == pytest.approx(300, abs=0.1)


def test_linearity_leaves_no_light_alone() -> None:
    raw = four_taps.raw_image(np.full(SHAPE, -20.0))
    made = remove_signature(raw, four_taps.setup(linearity=CURVE))
    np.testing.assert_allclose(made.sci, -20 * GAIN, atol=1e-3)


def test_dark_current_goes_with_the_exposure_time_and_its_noise_stays() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        dark = rng.lognormal(0, 0.5, SHAPE).astype(np.float32)
        exptime_s = float(rng.uniform(100, 1000))
        raw = four_taps.raw_image(rng.poisson(dark * exptime_s) / GAIN, rng)
        flat = rng.uniform(0.8, 1.2, SHAPE).astype(np.float32)
        made = remove_signature(raw, four_taps.setup(), None, flat, dark_e_s=dark, exptime_s=exptime_s)
        pull = made.sci / np.sqrt(made.var)
        assert abs(pull.mean()) < 0.12  # the variance is that of the pixel as measured, so a low one weighs more
        assert pull.std() == pytest.approx(1.03, abs=0.06)


@pytest.mark.parametrize("exptime_s", [math.nan, math.inf, -1.0])
def test_a_dark_without_an_exposure_time_is_a_bad_frame(exptime_s: float) -> None:
    raw, dark = four_taps.raw_image(np.zeros(SHAPE)), np.ones(SHAPE, np.float32)
    with pytest.raises(BadFrame, match="a dark for an exposure time"):
        remove_signature(raw, four_taps.setup(), dark_e_s=dark, exptime_s=exptime_s)


@pytest.mark.parametrize("name", ["bias", "flat", "dark_e_s", "fringe", "bad"])
def test_a_calibration_of_another_shape_is_a_bad_frame(name: str) -> None:
    wrong: dict[str, Any] = {name: np.ones((3, 3), np.float32 if name != "bad" else np.uint16)}
    with pytest.raises(BadFrame, match=r"has \(3, 3\), the frame \(80, 60\) pixels"):
        remove_signature(four_taps.raw_image(np.zeros(SHAPE)), four_taps.setup(), **wrong)


@pytest.mark.parametrize("name", ["bias", "dark_e_s"])
def test_a_calibration_that_is_not_a_number_masks_its_pixel(name: str) -> None:
    plane = np.zeros(SHAPE, np.float32)
    plane[3, 4] = np.nan
    given: dict[str, Any] = {name: plane, "exptime_s": 10.0}
    made = remove_signature(four_taps.raw_image(np.full(SHAPE, 50.0)), four_taps.setup(), **given)
    assert (made.mask == Mask.NOT_A_NUMBER).sum() == 1
    assert made.mask[3, 4] == Mask.NOT_A_NUMBER
    assert made.sci[3, 4] == made.var[3, 4] == 0


def test_an_image_that_is_too_small_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match=r"amplifier 2: section .* leaves the image of 60x80 pixels"):
        remove_signature(np.ones((80, 60), np.uint16), four_taps.setup())


def test_bits_of_a_bad_pixel_master_are_kept() -> None:
    bad = np.zeros(SHAPE, np.uint16)
    bad[4, 5], bad[6, 7] = Mask.HOT, Mask.BAD | Mask.HOT
    signal = np.zeros(SHAPE)
    signal[4, 5] = FULL
    made = remove_signature(four_taps.raw_image(signal), four_taps.setup(), bad=bad)
    bad[4, 5] |= Mask.SATURATED
    np.testing.assert_array_equal(made.mask, bad)


def test_given_arrays_are_filled_and_returned() -> None:
    raw = four_taps.raw_image(scene(np.random.default_rng(2)))
    planes = empty_planes(four_taps.setup())
    for plane in planes:
        plane.fill(77)
    made = remove_signature(raw, four_taps.setup(), out=planes)
    fresh = remove_signature(raw, four_taps.setup())
    assert made.sci is planes[0] and made.var is planes[1] and made.mask is planes[2]
    for mine, other in zip(planes, (fresh.sci, fresh.var, fresh.mask), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_measured_gains_stand_in_for_the_others() -> None:
    given = four_taps.setup()
    changed = with_gains(given, {"2": 2.5})
    assert [tap.gain_e_adu for tap in changed.amplifiers] == [2.0, 2.5, 2.0, 2.0]
    assert with_gains(given, {}) == given
    with pytest.raises(BadFrame, match="no amplifier 7"):
        with_gains(given, {"7": 2.0})
    for gain in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadFrame, match="gain is"):
            with_gains(given, {"1": gain})


def test_every_bit_has_a_name_and_a_card() -> None:
    assert [bit.value for bit in Mask] == [1 << n for n in range(8)]
    assert ("MASK6", "BLEED", "bit 64 of the MASK plane") in MASK_CARDS
