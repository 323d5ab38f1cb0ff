"""Fringes: how strongly a fringe frame is seen in a sky with stars, and that it goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.isr.fringe import fit_fringe, subtract_fringe
from processors.planes import Mask

SHAPE = (160, 140)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
FRINGE = (0.02 * np.sin(X / 6 + Y / 11 + 2 * np.sin(Y / 40))).astype(np.float32)


def sky(seed: int) -> tuple[NDArray[np.float32], NDArray[np.uint16], float]:
    """A sloping sky with fringes, stars and a masked column; the truth is the factor of the fringe frame, e-."""
    rng = np.random.default_rng(seed)
    level = float(rng.uniform(500, 5000))
    image = level * (1 + 0.05 * (X / SHAPE[1] - 0.5)) + level * FRINGE
    image = rng.normal(image, np.sqrt(level))
    for x, y in rng.uniform(0, 140, (15, 2)):
        image += rng.uniform(1e3, 1e5) * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / 8) / 25
    mask = np.zeros(SHAPE, np.uint16)
    mask[:, 50] = Mask.BAD
    image[:, 50] += 1e5
    return image.astype(np.float32), mask, level


def test_the_strength_comes_back_over_20_seeds() -> None:
    found = []
    for seed in range(20):
        image, mask, level = sky(seed)
        var = np.full(SHAPE, level, np.float32)
        scale = subtract_fringe(image, var, mask, FRINGE)
        found.append(scale / level)
        assert fit_fringe(image, mask, FRINGE) / level == pytest.approx(0, abs=0.02)
    assert np.mean(found) == pytest.approx(1, abs=0.02)
    assert np.std(found) < 0.04


def test_the_level_of_the_sky_stays() -> None:
    image, mask, _ = sky(3)
    before = np.median(image)
    subtract_fringe(image, image.copy(), mask, FRINGE + np.float32(1.7))
    assert np.median(image) == pytest.approx(before, rel=2e-3)


def test_unknown_fringes_are_masked() -> None:
    image, mask, _ = sky(4)
    fringe, var = FRINGE.copy(), np.ones(SHAPE, np.float32)
    fringe[10, 20] = np.nan
    subtract_fringe(image, var, mask, fringe)
    assert mask[10, 20] == Mask.NOT_A_NUMBER
    assert image[10, 20] == var[10, 20] == 0
    assert np.isfinite(image).all()


@pytest.mark.parametrize(
    ("fringe", "masked", "message"),
    [
        (np.full(SHAPE, 0.3, np.float32), 0, "the fringe frame is flat"),
        (np.full(SHAPE, np.nan, np.float32), 0, "only 0 good pixels"),
        (FRINGE, Mask.BAD, "only 0 good pixels"),
    ],
)
def test_what_cannot_be_fitted_is_a_bad_frame(fringe: Any, masked: int, message: str) -> None:
    image, mask, _ = sky(5)
    mask |= np.uint16(masked)
    with pytest.raises(BadFrame, match=message):
        subtract_fringe(image, image.copy(), mask, fringe)
