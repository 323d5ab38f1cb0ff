"""Images that tell nothing give NaN, number 0 and a reason: never a crash, and never a figure without a warning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import BadFrame
from processors.photometry.background import Background, measure_background
from processors.photometry.depth import measure_depth
from processors.photometry.growth import measure_growth
from processors.photometry.quick import quick_look
from processors.photometry.seeing import measure_seeing
from processors.photometry.sources import find_sources
from processors.photometry.zero_point import measure_zero_point
from processors.planes import Mask
from tests.unit.processors import star_scene

SHAPE = (256, 256)
NOISE = np.random.default_rng(1).normal(400, 20, SHAPE).astype(np.float32)
VARIANCE = np.full(SHAPE, 400, np.float32)


def crowd() -> Any:
    return star_scene.make(2, SHAPE, 2000, fwhm=8.0, faintest=500, brightest=2e5).sci


def trails() -> Any:
    """Every star is a line of 30 pixels."""
    sharp = star_scene.make(3, SHAPE, 12, faintest=1e5, brightest=1e6).sci
    lines = np.mean([np.roll(sharp, step, axis=1) for step in range(30)], axis=0)
    return (lines + NOISE - 400).astype(np.float32)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (lambda: np.full(SHAPE, np.nan, np.float32), "not a number"),
        (lambda: np.full(SHAPE, np.inf, np.float32), "not a number"),
        (lambda: np.zeros(SHAPE, np.float32), "no noise"),
        (lambda: np.full(SHAPE, 300, np.float32), "no noise"),
        (lambda: NOISE, "nothing above 1.5 sigma"),
        (trails, "stars among"),
        (lambda: NOISE[:5, :5], "25 usable pixels"),
    ],
    ids=["nan", "inf", "zero", "constant", "empty", "trails", "tiny"],
)
def test_no_seeing_and_why(image: Callable[[], Any], reason: str) -> None:
    sci = np.ascontiguousarray(image())
    var = np.full(sci.shape, 400, np.float32)
    sources = find_sources(sci, var)
    seeing, quick = measure_seeing(sources, 0.25), quick_look(sci, None, 0.25).seeing
    growth = measure_growth(sci, var, None, measure_background(sci), sources)
    assert reason in seeing.reason
    assert quick.reason
    assert growth.reason
    assert (seeing.number, quick.number, growth.number) == (0, 0, 0)
    assert math.isnan(seeing.fwhm_px)
    assert math.isnan(quick.fwhm_arcsec)
    assert math.isnan(growth.correction(3.0))


def test_a_masked_image_tells_nothing() -> None:
    scene = star_scene.make(1, SHAPE)
    mask = np.full(SHAPE, Mask.BAD, np.uint16)
    sources, look, background = (
        find_sources(scene.sci, scene.var, mask), quick_look(scene.sci, mask), measure_background(scene.sci, mask)
    )  # fmt: skip
    assert (len(sources), look.sky.number, look.seeing.number, background.number) == (0, 0, 0, 0)
    assert math.isnan(look.sky.level_e)
    assert math.isnan(background.level_e)
    assert "masked" in sources.reason
    assert "usable pixels" in look.seeing.reason
    assert "masked" in background.reason


def test_a_variance_that_is_not_a_number_is_said() -> None:
    scene = star_scene.make(1, SHAPE)
    assert find_sources(scene.sci, np.full_like(scene.var, np.nan)).reason.startswith("the variance is not a number")


def test_elongated_stars_have_an_ellipticity_and_no_seeing() -> None:
    scene = star_scene.make(2, e1=0.45, faintest=2e4)
    for seeing in (measure_seeing(find_sources(scene.sci, scene.var)), quick_look(scene.sci).seeing):
        assert seeing.reason.startswith("trailed: ellipticity 0.6")
        assert math.isnan(seeing.fwhm_px)
        assert seeing.number > 10
        assert abs(seeing.angle_rad) < 0.05


def test_a_crowd_does_not_stop_anything() -> None:
    sci = crowd()
    sources, look = find_sources(sci, sci), quick_look(sci)
    assert len(sources) > 10
    seeing = measure_seeing(sources)
    assert seeing.number == 0 or seeing.scatter_px > 0.05 * seeing.fwhm_px
    assert look.seeing.number == 0
    assert "crowded" in look.seeing.reason or "bright peaks" in look.seeing.reason


@pytest.mark.parametrize(("side", "reason"), [(600, ""), (2049, "crowded: ")])
def test_more_pixels_above_the_threshold_than_buffers_hold(side: int, reason: str) -> None:
    """A wall of light: the larger buffers take the first, none the second."""
    flat = np.full((side, side), 400, np.float32)
    sci = flat + np.linspace(1000, 2000, side, dtype=np.float32)
    sources = find_sources(sci, flat, background=Background(400.0, 20.0, flat, flat / np.float32(20), flat.size))
    assert sources.reason.startswith(reason)
    assert (len(sources) > 0) == (reason == "")


def test_half_an_image_of_nan_leaves_the_other_half() -> None:
    scene = star_scene.make(5, (384, 384), 60)
    sci = scene.sci.copy()
    sci[:, :190] = np.nan
    assert quick_look(sci).seeing.fwhm_px == pytest.approx(3.5, rel=0.04)
    assert measure_seeing(find_sources(sci, scene.var)).fwhm_px == pytest.approx(3.5, rel=0.04)
    assert measure_background(sci).level_e == pytest.approx(400, abs=2)


@settings(max_examples=60)
@given(
    rows=st.integers(1, 150),
    columns=st.integers(1, 150),
    level=st.sampled_from([0.0, -1e5, 400.0, 1e20, 3e38, 1e-30]),
    noise=st.sampled_from([0.0, 1e-6, 20.0, 1e6]),
    spoilt=st.sampled_from([0.0, 0.01, 0.3, 0.99]),
    spoiler=st.sampled_from([np.nan, np.inf, -np.inf, 1e9, 3e38]),
    seed=st.integers(0, 1000),
)
def test_whatever_is_in_an_image_has_a_result(
    rows: int, columns: int, level: float, noise: float, spoilt: float, spoiler: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sci = (level + rng.normal(0, noise, (rows, columns))).clip(-3e38, 3e38).astype(np.float32)
    sci[rng.random(sci.shape) < spoilt] = spoiler
    with np.errstate(all="ignore"):
        look = quick_look(sci)
        seeing = measure_seeing(find_sources(sci, np.ones_like(sci)))
    for each in (look.seeing, seeing):
        assert each.number > 0 or (math.isnan(each.fwhm_px) and each.reason)
    assert look.sky.number > 0 or (math.isnan(look.sky.level_e) and look.sky.reason)


def test_planes_of_unequal_shapes_are_refused() -> None:
    """The kernels would read past the end of the smaller one."""
    small = np.zeros((5, 5), np.uint16)
    sky, sources = measure_background(NOISE), find_sources(NOISE, VARIANCE)
    calls: list[Callable[[], Any]] = [
        lambda: quick_look(NOISE, small),
        lambda: measure_background(NOISE, small),
        lambda: find_sources(NOISE, VARIANCE, small),
        lambda: find_sources(NOISE, VARIANCE[:5]),
        lambda: measure_growth(NOISE, VARIANCE, small, sky, sources),
        lambda: quick_look(NOISE[None]),
        lambda: find_sources(NOISE[None], VARIANCE[None]),
    ]
    for call in calls:
        with pytest.raises(BadFrame):
            call()


@pytest.mark.parametrize("number", [0.0, -5.0, math.nan, math.inf])
def test_impossible_times_and_limits(number: float) -> None:
    flux, magnitude = np.full(5, 1e4), np.full(5, 20.0)
    found = measure_zero_point(flux, np.ones(5), number, magnitude)
    assert math.isnan(found.value)
    assert "exposure time" in found.reason
    depth = measure_depth(25.0, 100.0, 50.0, 5.0, 0.24, 2.0, sigmas=number)
    assert math.isnan(depth.limiting_mag)
    assert "sigmas" in depth.reason
