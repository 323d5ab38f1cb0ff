"""The kernels of photometry against slow and obvious numpy, on random input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from processors.photometry.background import some_hidden
from processors.photometry.moments import measure_shapes
from processors.photometry.peaks import Peaks, find_peaks, isolated, spread
from processors.photometry.sky import BLOCK, EVERY_BIT, Sky, measure_sky
from processors.photometry.sources import find_sources
from processors.planes import Mask
from processors.simulator.stars import Psf, add_stars
from tests.unit.processors import star_scene

SEEDS = range(20)


def clipped(values: Any) -> tuple[float, float]:
    """Median and 1.4826 times the median absolute deviation of what is within 3 σ."""
    while True:
        level = np.median(values)
        sigma = 1.4826 * np.median(np.abs(values - level))
        kept = values[np.abs(values - level) <= max(3 * sigma, 1e-6 * abs(level))]
        if kept.size == values.size:
            return float(level), float(sigma)
        values = kept


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_of_sky_are_clipped_medians(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(128, 400)), int(rng.integers(128, 400)))
    sci = rng.normal(100, 10, shape).astype(np.float32)
    sci[rng.random(shape) < 0.05] += np.float32(500)
    sci[rng.random(shape) < 0.05] = np.nan
    mask = np.where(rng.random(shape) < 0.05, Mask.HOT, 0).astype(np.uint16)
    sky = measure_sky(sci, mask)
    high, wide = shape[0] // BLOCK, shape[1] // BLOCK
    for j in range(high):
        for i in range(wide):
            values = []
            for y in range(j * shape[0] // high + 2, (j + 1) * shape[0] // high, 5):
                for x in range(i * shape[1] // wide + y % 5, (i + 1) * shape[1] // wide, 5):
                    if mask[y, x] == 0 and np.isfinite(sci[y, x]):
                        values.append(float(sci[y, x]))
            expected = clipped(np.array(values))
            assert (sky.blocks_e[j, i], sky.noises_e[j, i]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_hidden_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sci = rng.normal(0, 1, (20, 30)).astype(np.float32)
    sci[rng.random(sci.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    mask = rng.choice(np.array([0, Mask.SATURATED, Mask.BAD, Mask.BAD | Mask.SATURATED], np.uint16), sci.shape)
    hidden = some_hidden(sci, mask)
    assert hidden is not None
    assert np.array_equal(hidden, ~np.isfinite(sci) | (mask & Mask.BAD > 0))
    assert np.array_equal(some_hidden(sci, None), ~np.isfinite(sci))  # type: ignore[arg-type]
    assert some_hidden(np.zeros((3, 3), np.float32), np.full((3, 3), Mask.SATURATED, np.uint16)) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_peaks_are_the_maxima_that_are_wide_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sci = rng.normal(0, 1, (40, 50)).astype(np.float32)
    for _ in range(12):
        row, column = rng.integers(2, 37), rng.integers(2, 47)
        sci[row - 1 : row + 2, column - 1 : column + 2] += rng.uniform(0, 30, (3, 3)).astype(np.float32)
    sci[5, 5] = np.nan
    mask = np.where(rng.random(sci.shape) < 0.02, Mask.BAD, 0).astype(np.uint16)
    one = np.zeros((1, 1), np.float32)
    peaks = find_peaks(sci, mask, Sky(0.0, 1.0, np.nan, one, one + 1, 1), 5.0, EVERY_BIT)
    expected = []
    for y in range(1, 39):
        for x in range(1, 49):
            near, v = sci[y - 1 : y + 2, x - 1 : x + 2], sci[y, x]
            pairs = [near[0][k] + near[2][2 - k] for k in range(3)] + [near[1][0] + near[1][2]]
            if v > 5 and v >= near.max() and not mask[y - 1 : y + 2, x - 1 : x + 2].any() and min(pairs) >= 0.3 * v:
                expected.append((y, x))
    assert list(zip(peaks.row.tolist(), peaks.column.tolist(), strict=True)) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_lonely_and_spread_peaks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(100 * 80, 60, replace=False))
    peaks = Peaks(places // 80, places % 80, rng.uniform(1, 30, 60).astype(np.float32), np.zeros(60, np.float32))
    apart = np.hypot(peaks.row[:, None] - peaks.row, peaks.column[:, None] - peaks.column)
    near = (apart <= 9) & ~np.eye(60, dtype=bool)
    assert np.array_equal(isolated(peaks, 9.0), ~(near & (peaks.height_e > 0.1 * peaks.height_e[:, None])).any(axis=1))
    kept = spread(peaks, (100, 80), 3, 2)
    cell = peaks.row * 3 // 100 * 3 + peaks.column * 3 // 80
    best = [i for i in range(60) if (peaks.height_e[cell == cell[i]] > peaks.height_e[i]).sum() < 2]
    assert kept.tolist() == best


@pytest.mark.parametrize("seed", SEEDS)
def test_adaptive_moments_are_those_of_a_gaussian_weight_that_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sci = rng.normal(0, 20, (41, 41)).astype(np.float32)
    x0, y0 = rng.uniform(18, 22, 2)
    add_stars(sci, np.array([x0]), np.array([y0]), np.array([1e5]), Psf(rng.uniform(2.5, 6), 0.1, -0.05))
    middle, nothing = np.array([20.0]), np.zeros((0, 0), np.bool_)
    shape = measure_shapes(sci, nothing, middle, middle, np.array([1.5]), np.zeros(1))
    x, y, xx, xy, yy = (float(v[0]) for v in (shape.x, shape.y, shape.xx, shape.xy, shape.yy))
    rows, columns = np.mgrid[:41, :41]
    offsets = np.stack([(columns - x).ravel(), (rows - y).ravel()])
    inverse = np.linalg.inv([[xx, xy], [xy, yy]])
    s = np.einsum("ik,ij,jk->k", offsets, inverse, offsets)
    weight = np.where(s <= 16, np.exp(-0.5 * s), 0) * sci.ravel()
    centre = offsets @ weight / weight.sum()
    moments = (offsets * weight) @ offsets.T / weight.sum() - np.outer(centre, centre)
    assert centre == pytest.approx([0, 0], abs=2e-3)
    fitted = np.linalg.inv(np.linalg.inv(moments) - inverse)
    assert fitted == pytest.approx(np.array([[xx, xy], [xy, yy]]), rel=5e-3, abs=5e-3)
    core = (s <= 3.2) & (sci.ravel() > 0)
    c2, c1, _ = np.polyfit(s[core], np.log(sci.ravel()[core]), 2, w=sci.ravel()[core])
    half = next(root.real for root in sorted(np.roots([c2, c1, np.log(2)])) if root.real > 0)
    assert shape.fwhm_px[0] == pytest.approx(2 * np.sqrt(half) * (xx * yy - xy * xy) ** 0.25, rel=1e-4)
    assert (x, y) == pytest.approx((x0, y0), abs=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_sources_with_a_saturated_pixel_are_flagged(seed: int) -> None:
    scene = star_scene.make(seed)
    mask = np.where(scene.sci > 3000, Mask.SATURATED, 0).astype(np.uint16)
    sources = find_sources(scene.sci, scene.var, mask)
    true, found = star_scene.pairs(scene, sources.x, sources.y)
    peaks = np.array([scene.sci[round(scene.y[i]) - 1 :, round(scene.x[i]) - 1 :][:3, :3].max() for i in true])
    assert np.array_equal(sources.flags[found] & 256 > 0, peaks > 3000)
