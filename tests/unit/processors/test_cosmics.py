"""Cosmic rays: the lazy search against a slow, complete one, against a known truth, and at the edges."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import astroscrappy
import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import label

from processors.cosmics.find import find_cosmics
from processors.cosmics.options import PUBLISHED, CosmicOptions
from processors.cosmics.replace import clean
from processors.errors import BadFrame
from processors.planes import Mask
from tests.unit.processors import starfield

READ_NOISE = 6.0


def medians(image: Any, size: int) -> Any:
    """Separable median, along the columns and then along the rows, of an image that goes on by reflection."""
    half = size // 2
    tall = np.lib.stride_tricks.sliding_window_view(np.pad(image, ((half, half), (0, 0)), "reflect"), size, axis=0)
    wide = np.pad(np.median(tall, axis=-1), ((0, 0), (half, half)), "reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(wide, size, axis=1), axis=-1)


def grown(mask: Any, reach: int = 1) -> Any:
    """A mask and everything at most `reach` pixels from it."""
    side = 2 * reach + 1
    return np.lib.stride_tricks.sliding_window_view(np.pad(mask, reach), (side, side)).any(axis=(2, 3))


def laplacian(image: Any) -> Any:
    """van Dokkum's L⁺: every pixel cut in four, convolved, clipped at zero, and put together again."""
    fine = np.repeat(np.repeat(np.pad(image, 1, "reflect"), 2, axis=0), 2, axis=1)
    curved = 4 * fine[1:-1, 1:-1] - fine[:-2, 1:-1] - fine[2:, 1:-1] - fine[1:-1, :-2] - fine[1:-1, 2:]
    rows, columns = image.shape
    return np.maximum(curved, 0)[1:-1, 1:-1].reshape(rows, 2, columns, 2).mean(axis=(1, 3))


def filled(image: Any, good: Any, wanted: Any, floor: Any) -> Any:
    """`wanted` pixels replaced by the median of good ones in 5 × 5, 9 × 9 or 13 × 13, but by no less than `floor`."""
    out = image.copy()
    for y, x in np.argwhere(wanted):
        for radius in (2, 4, 6):
            window = np.s_[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            if good[window].any():
                out[y, x] = max(np.median(image[window][good[window]]), floor[y, x])
                break
    return out


def reference(sci: Any, noise: Any, mask: Any, options: CosmicOptions) -> Any:
    """L.A.Cosmic as published, every step on the whole image (van Dokkum 2001, PASP 113, 1420); then the tests."""
    avoid = (mask & options.avoid) != 0
    cosmics = np.zeros(sci.shape, bool)
    own = np.where(avoid & np.isfinite(sci), sci, -np.inf).astype(float)
    image = filled(np.where(np.isfinite(sci), sci, 0).astype(float), ~avoid, avoid, own)
    saturated = (mask & options.avoid & (Mask.SATURATED | Mask.BLEED)) != 0
    halo = grown(saturated & (medians(image, 5) > 0.1 * image), 4)
    struck = image
    level, noise2 = image, noise**2
    if np.ndim(noise):
        level, noise2 = filled(np.where(avoid, 0, noise).astype(float), ~avoid, avoid, np.zeros(sci.shape)), 0.0
    for _ in range(options.iterations):
        sigma = np.sqrt(np.maximum(medians(level, 7), 1e-5) + noise2)
        signal = laplacian(image) / (2 * sigma)
        signal -= medians(signal, 7)
        smooth = medians(image, 5)
        structure = np.maximum((smooth - medians(smooth, 9)) / sigma, 0.01)
        free = ~(avoid | halo | cosmics)
        new = free & (signal > options.sigma_clip) & (signal > options.object_limit * structure)
        if not new.any():
            break
        for threshold in (options.sigma_clip, options.sigma_clip * options.sigma_fraction):
            new |= free & grown(new) & (signal > threshold)
        cosmics |= new
        good = ~(avoid | halo | cosmics)
        floor = np.full(sci.shape, -np.inf)
        image = filled(image, good, new, floor)
        level = image if np.ndim(noise) == 0 else filled(level, good, new, floor)
    return certain(cosmics, struck, image, np.maximum(level, 1e-5) + noise2, options)


def certain(cosmics: Any, struck: Any, cleaned: Any, variance: Any, options: CosmicOptions) -> Any:
    """The objects that are significant and steeper than a star."""
    kept = np.zeros_like(cosmics)
    labels, count = label(cosmics, np.ones((3, 3)))
    wide = np.pad(struck, 1, "reflect")
    side = 0.8 * 2 ** -((1 / (0.5 * (options.psf_fwhm_px or 1))) ** 2)  # a Gaussian is at one half at FWHM / 2
    for number in range(1, count + 1):
        places = np.argwhere(labels == number)
        signals = np.array([max(struck[y, x] - cleaned[y, x], 0) for y, x in places])
        noises = np.array([variance[y, x] ** 0.5 for y, x in places])
        steep = options.psf_fwhm_px is None
        for (y, x), signal, noise in zip(places, signals, noises, strict=True):
            if signal < 0.5 * signals.max():
                continue
            for dy, dx, fall in ((0, 1, side), (1, 0, side), (1, 1, side / 0.8 * side), (1, -1, side / 0.8 * side)):
                beside = 0.5 * (wide[y + 1 + dy, x + 1 + dx] + wide[y + 1 - dy, x + 1 - dx]) - cleaned[y, x]
                error = (0.5 * (noise**2 + max(beside, 0))) ** 0.5
                steep |= bool(fall * (signal - (noise**2 + signal) ** 0.5) > beside + error)
        if steep and ((signals / noises) ** 2).sum() ** 0.5 >= options.least_significance:
            kept |= labels == number
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_the_lazy_search_finds_what_the_complete_one_finds(seed: int) -> None:
    rows, columns = [(150, 131), (64, 64), (129, 200)][seed % 3]
    field = starfield.make(
        seed, (rows, columns), stars=25, tracks=25, sky=30.0 * 4**seed % 3000, fwhm=2.5 + seed % 4,
        brightest=3e5 if seed % 2 else 3e6,
    )  # fmt: skip
    ramp = np.linspace(1, 3 if seed % 2 else 1, columns)  # half of the fields get three times the light on one side
    if seed % 4 == 0:  # the orders of a spectrograph: dark strips must be met, or their cosmic rays are left out
        ramp = np.where(np.arange(columns) // 10 % 2, 1, 0.05)
    sci = (field.sci * ramp).astype(np.float32)
    mask = field.mask
    mask[:, 40:42] |= int(Mask.BAD)
    sci[5:30, 40] = np.nan
    sci[40:60, 41] = 60000
    # rounding may move a pixel across a threshold
    found = find_cosmics(sci, READ_NOISE, mask, PUBLISHED).mask
    expected = reference(sci, READ_NOISE, mask, PUBLISHED)
    assert expected.sum() > 50
    assert np.count_nonzero(found != expected) <= 1
    var = (np.maximum(np.nan_to_num(sci), 1) + READ_NOISE**2).astype(np.float32)
    free_of_mask = np.zeros_like(mask)
    found = find_cosmics(np.nan_to_num(sci), var, free_of_mask, PUBLISHED).mask
    assert np.count_nonzero(found != reference(np.nan_to_num(sci), var, free_of_mask, PUBLISHED)) <= 1


def test_objects_are_tested_as_written_out_slowly() -> None:
    dropped = 0
    for seed in range(6):
        field = starfield.make(40 + seed, (140, 150), stars=25, tracks=12, sky=50.0 * 6 ** (seed % 4), fwhm=2.0)
        options = CosmicOptions(psf_fwhm_px=None if seed % 2 else 2.0, least_significance=7.0)
        found = find_cosmics(field.sci, READ_NOISE, field.mask, options)
        expected = reference(field.sci, READ_NOISE, field.mask, options)
        assert label(expected, np.ones((3, 3)))[1] == found.count
        assert np.count_nonzero(found.mask != expected) <= 1
        untested = replace(options, psf_fwhm_px=None, least_significance=0.0)
        dropped += find_cosmics(field.sci, READ_NOISE, field.mask, untested).count - found.count
    assert dropped >= 6


def test_injected_cosmic_rays_are_found_and_little_else() -> None:
    hit = objects = right = named = pixels = struck = 0
    for seed in range(20):
        sky, fwhm = (100.0, 1000.0, 5000.0, 20000.0)[seed % 4], (2.0, 3.0, 4.0, 5.0)[seed % 4]
        field = starfield.make(seed, (400, 400), stars=30, tracks=30, sky=sky, fwhm=fwhm)
        found = find_cosmics(field.sci, READ_NOISE, field.mask, CosmicOptions(psf_fwhm_px=fwhm)).mask
        score = starfield.score(field, found)
        hit, objects = hit + score.hit, objects + score.objects
        right, named = right + score.right, named + score.named
        pixels, struck = pixels + score.pixels, struck + score.struck
    assert objects > 450
    assert hit / objects > 0.94
    assert right / named > 0.98
    assert pixels / struck > 0.92


def test_scores_are_those_of_astroscrappy_or_better() -> None:
    scores = {"theirs": np.zeros(6), "published": np.zeros(6), "ours": np.zeros(6)}
    for seed, (sky, fwhm) in enumerate(((100.0, 3.0), (1000.0, 4.0), (5000.0, 5.0), (20000.0, 3.5))):
        field = starfield.make(200 + seed, (420, 420), stars=35, tracks=60, sky=sky, fwhm=fwhm)
        theirs, _ = astroscrappy.detect_cosmics(
            field.sci, inmask=field.mask != 0, readnoise=READ_NOISE, sigclip=4.5, sigfrac=0.3, objlim=5.0, niter=4,
            satlevel=starfield.FULL - 1, cleantype="medmask",
        )  # fmt: skip
        scores["theirs"] += astuple(starfield.score(field, theirs))
        found = find_cosmics(field.sci, READ_NOISE, field.mask, PUBLISHED).mask
        scores["published"] += astuple(starfield.score(field, found))
        found = find_cosmics(field.sci, READ_NOISE, field.mask, CosmicOptions(psf_fwhm_px=fwhm)).mask
        scores["ours"] += astuple(starfield.score(field, found))
    # completeness by object, completeness by pixel, purity; astroscrappy judges no edges, and small fields have many
    theirs, published, ours = (each[[0, 2, 4]] / each[[1, 3, 5]] for each in scores.values())
    assert np.all(published > theirs - 0.01)
    assert np.all(ours > theirs)
    assert ours[2] > 0.98 > theirs[2]


def test_a_real_frame_holds_the_two_tracks_that_astroscrappy_sees(shared_data: Path) -> None:
    with fits.open(shared_data / "stars" / "cosmicrays_gmos" / "gmos.fits") as hdus:
        sci, var, sky = (hdus[name].data.astype(np.float32) for name in ("SCI", "VAR", "SKYFIT"))
    theirs, _ = astroscrappy.detect_cosmics(
        sci, invar=var, inbkg=sky, sigclip=4.5, sigfrac=0.3, objlim=5.0, niter=4, satlevel=1e9, cleantype="medmask"
    )
    untouched = np.zeros(sci.shape, np.uint16)
    for options in (PUBLISHED, CosmicOptions(psf_fwhm_px=3.0)):
        for image, noise in ((sci, 4.24), (sci, var), (sci - sky, var)):
            found = find_cosmics(image, noise, untouched, options)
            assert found.count == 2
            assert np.count_nonzero(found.mask & theirs) > 0.95 * np.count_nonzero(theirs)
            # astroscrappy leaves out the lowest rows, into which one track goes on
            assert np.count_nonzero(found.mask[:-3] & ~theirs[:-3]) < 0.05 * np.count_nonzero(theirs)
            assert found.mask[-1].sum() == 2
    lazy = find_cosmics(sci - sky, var, untouched, PUBLISHED).mask
    assert np.count_nonzero(lazy != reference(sci - sky, var, untouched, PUBLISHED)) <= 1


def test_without_a_seeing_the_significance_alone_keeps_noise_out() -> None:
    right = named = 0
    for seed in range(20):
        field = starfield.make(100 + seed, (400, 400), stars=30, tracks=30, sky=2000.0, fwhm=4.0)
        score = starfield.score(field, find_cosmics(field.sci, READ_NOISE, field.mask).mask)
        right, named = right + score.right, named + score.named
    assert right / named > 0.98


@pytest.mark.parametrize("fwhm", [1.5, 2.0, 4.0])
def test_stars_survive_sharp_seeing(fwhm: float) -> None:
    lost = stars = 0
    for seed in range(20):
        field = starfield.make(seed, (300, 300), stars=20, tracks=0, sky=500.0, fwhm=fwhm)
        found = find_cosmics(field.sci, READ_NOISE, field.mask, CosmicOptions(psf_fwhm_px=fwhm)).mask
        lost += int(grown(found)[np.rint(field.y).astype(int), np.rint(field.x).astype(int)].sum())
        stars += field.x.size
    assert lost / stars <= 0.01


def test_the_gradient_test_is_what_saves_undersampled_stars() -> None:
    field = starfield.make(3, (400, 400), stars=60, tracks=0, sky=500.0, fwhm=1.5)
    without = find_cosmics(field.sci, READ_NOISE, field.mask).count
    with_it = find_cosmics(field.sci, READ_NOISE, field.mask, CosmicOptions(psf_fwhm_px=1.5)).count
    assert without > 20
    assert with_it <= 2


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    field = starfield.make(5, (300, 211), stars=40, tracks=60, sky=800.0, fwhm=3.0)
    options = CosmicOptions(psf_fwhm_px=3.0)
    one = find_cosmics(field.sci, READ_NOISE, field.mask, options)
    several = find_cosmics(field.sci, READ_NOISE, field.mask, replace(options, threads=threads))
    assert one.count == several.count > 20
    assert np.array_equal(one.mask, several.mask)


@pytest.mark.parametrize("shape", [(9, 9), (9, 300), (300, 9), (64, 64), (65, 63), (128, 130)])
def test_every_pixel_is_judged_up_to_the_edges(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for y, x in [(0, 0), (0, -1), (-1, 0), (-1, -1), (0, shape[1] // 2), (shape[0] // 2, 0), (-1, shape[1] // 2)]:
        sci = rng.normal(100, 10, shape).astype(np.float32)
        sci[y, x] += 500
        assert find_cosmics(sci, READ_NOISE).mask[y, x]


def test_nothing_under_the_mask_spreads() -> None:
    field = starfield.make(6, (200, 200), stars=10, tracks=30, sky=500.0, fwhm=3.0)
    field.mask[50:80, 60:63] |= int(Mask.NOT_A_NUMBER)
    quiet = find_cosmics(field.sci, READ_NOISE, field.mask)
    for value in (np.nan, np.inf, -np.inf, 0.0, -1e30):
        sci = field.sci.copy()
        sci[50:80, 60:63] = value
        found = find_cosmics(sci, READ_NOISE, field.mask)
        assert not (found.mask & (field.mask != 0)).any()
        assert np.count_nonzero(found.mask != quiet.mask) <= 2  # a neighbour's median may differ


@pytest.mark.parametrize("fwhm", [2.0, 4.0, 6.0])
def test_saturated_stars_are_left_alone(fwhm: float) -> None:
    lost = 0
    for seed in range(20):
        brightest = 1e7 if seed % 2 else 3e7
        field = starfield.make(
            seed, (160, 160), stars=1, tracks=0, sky=50.0 * 10 ** (seed % 3), fwhm=fwhm, brightest=brightest, half=65
        )
        y, x = int(field.y[0]), int(field.x[0])
        assert field.mask[y, x] & Mask.SATURATED
        lost += find_cosmics(field.sci, READ_NOISE, field.mask).count
        field.mask[:, x] |= int(Mask.SATURATED)  # its bleed
        field.sci[:, x] = 60000
        lost += find_cosmics(field.sci, READ_NOISE, field.mask).count
    assert lost <= 2


def test_a_cosmic_ray_that_saturates_is_no_star() -> None:
    rng = np.random.default_rng(14)
    sci = rng.normal(1000, 30, (100, 100)).astype(np.float32)
    sci[40, 20:50] += 3000
    sci[40, 34:36] = 100_000
    mask = np.where(sci >= 100_000, Mask.SATURATED, 0).astype(np.uint16)
    found = find_cosmics(sci, READ_NOISE, mask)
    assert found.count == 2  # on both sides of the saturated pixels
    assert found.mask.sum() == 28


def test_a_large_masked_area_is_as_good_as_none() -> None:
    field = starfield.make(15, (120, 160), stars=10, tracks=20, sky=500.0, fwhm=3.0)
    field.mask[30:70, 30:120] |= int(Mask.BAD)
    field.mask[50, 70] = 0  # one good pixel in the middle of it
    for filling in (0.0, 60_000.0, np.nan):
        sci = np.where(field.mask & Mask.BAD, np.float32(filling), field.sci)
        for noise in (READ_NOISE, np.where(field.mask & Mask.BAD, np.float32(0), field.sci + READ_NOISE**2)):
            found = find_cosmics(sci, noise, field.mask, PUBLISHED)
            assert found.count > 8
            assert np.count_nonzero(found.mask != reference(sci, noise, field.mask, PUBLISHED)) <= 1


def test_bits_of_choice_are_looked_at() -> None:
    field = starfield.make(8, (200, 200), stars=5, tracks=20, sky=500.0, fwhm=3.0)
    plain = find_cosmics(field.sci, READ_NOISE, field.mask)
    again = find_cosmics(field.sci, READ_NOISE, field.mask | (plain.mask * np.uint16(Mask.COSMIC)))
    assert np.array_equal(plain.mask, again.mask)
    everything = CosmicOptions(avoid=0)
    assert find_cosmics(field.sci, READ_NOISE, field.mask | np.uint16(Mask.BAD), everything).count > 10


def test_a_variance_allows_the_sky_to_be_subtracted() -> None:
    field = starfield.make(9, (300, 300), stars=20, tracks=40, sky=1500.0, fwhm=3.0)
    var = (np.maximum(field.sci, 0) + READ_NOISE**2).astype(np.float32)
    with_sky = find_cosmics(field.sci, READ_NOISE, field.mask).mask
    without = find_cosmics(field.sci - np.float32(1500), var, field.mask).mask
    assert np.count_nonzero(with_sky != without) < 0.02 * np.count_nonzero(with_sky)


def test_what_is_given_stays_as_it_is() -> None:
    field = starfield.make(10, (100, 100), stars=5, tracks=10, sky=500.0, fwhm=3.0)
    sci, mask = field.sci.copy(), field.mask.copy()
    for plane in (field.sci, field.mask):
        plane.setflags(write=False)
    found = find_cosmics(field.sci, READ_NOISE, field.mask)
    clean(field.sci, found.mask, field.mask)
    assert np.array_equal(field.sci, sci)
    assert np.array_equal(field.mask, mask)


def test_big_endian_and_strided_images_give_the_same() -> None:
    field = starfield.make(11, (100, 120), stars=5, tracks=10, sky=500.0, fwhm=3.0)
    expected = find_cosmics(field.sci, READ_NOISE).mask
    assert np.array_equal(find_cosmics(field.sci.astype(">f4"), READ_NOISE).mask, expected)
    assert np.array_equal(find_cosmics(np.repeat(field.sci, 2, axis=1)[:, ::2], READ_NOISE).mask, expected)


def test_bad_input_is_named() -> None:
    sci = np.full((30, 30), 100, np.float32)
    broken = sci.copy()
    broken[4, 5] = np.nan
    with pytest.raises(BadFrame, match="1 pixels are NaN or infinite"):
        find_cosmics(broken, READ_NOISE)
    with pytest.raises(BadFrame, match="a side"):
        find_cosmics(sci[:8], READ_NOISE)
    with pytest.raises(BadFrame, match="the mask is"):
        find_cosmics(sci, READ_NOISE, np.zeros((30, 29), np.uint16))
    with pytest.raises(BadFrame, match="the variance is"):
        find_cosmics(sci, sci[1:])
    with pytest.raises(BadFrame, match="read noise of nan"):
        find_cosmics(sci, np.nan)
    for value in (0, -1, np.nan):
        broken = sci.copy()
        broken[4, 5] = value
        with pytest.raises(BadFrame, match="1 pixels have a variance"):
            find_cosmics(sci, broken)
    for options in ({"psf_fwhm_px": np.nan}, {"sigma_clip": np.nan}, {"threads": 0}, {"iterations": 0}):
        with pytest.raises(ValueError, match=r"impossible|at least"):
            CosmicOptions(**options)


def test_a_frame_without_any_is_clean() -> None:
    rng = np.random.default_rng(12)
    found = find_cosmics(rng.normal(1000, 30, (256, 256)).astype(np.float32), READ_NOISE)
    assert found.count == 0
    assert not found.mask.any()


def test_cleaned_pixels_hold_what_is_around_them() -> None:
    field = starfield.make(13, (300, 300), stars=0, tracks=40, sky=1000.0, fwhm=3.0)
    found = find_cosmics(field.sci, READ_NOISE, field.mask).mask
    cleaned = clean(field.sci, found, field.mask)
    assert np.array_equal(cleaned[~found], field.sci[~found])
    assert abs(np.median(cleaned[found]) - 1000) < 25  # diffused charge below the thresholds stays beside a track
    assert np.abs(cleaned[found] - 1000).max() < 5 * np.sqrt(1000 + READ_NOISE**2)
    assert np.array_equal(cleaned, filled(field.sci, ~found, found, np.full(found.shape, -np.inf)))


def test_a_pixel_without_good_neighbours_keeps_its_value() -> None:
    sci = np.arange(900, dtype=np.float32).reshape(30, 30)
    cosmics = np.zeros((30, 30), bool)
    cosmics[15, 15] = True
    mask = np.full((30, 30), Mask.BAD, np.uint16)
    assert clean(sci, cosmics, mask)[15, 15] == sci[15, 15]
    mask[15, 16] = 0
    assert clean(sci, cosmics, mask)[15, 15] == sci[15, 16]
    with pytest.raises(BadFrame, match="the mask is"):
        clean(sci, cosmics, mask[1:])
    with pytest.raises(BadFrame, match="the cosmic rays are"):
        clean(sci, cosmics[1:], mask)


def test_objects_are_counted_by_touch() -> None:
    sci = np.full((60, 60), 100, np.float32)
    for y, x in [(10, 10), (11, 11), (12, 12), (30, 30), (30, 31), (50, 5)]:
        sci[y, x] = 3000
    found = find_cosmics(sci, READ_NOISE)
    assert found.count == 3
    assert found.mask.sum() == 6


@pytest.mark.parametrize("kind", [np.int64, np.int16, np.float32])
def test_a_mask_that_would_wrap_around_is_refused(kind: type) -> None:
    with pytest.raises(BadFrame, match="the mask is"):
        find_cosmics(np.full((60, 60), 100, np.float32), READ_NOISE, np.zeros((60, 60), kind))


def test_a_read_noise_whose_square_overflows_is_refused() -> None:
    with pytest.raises(BadFrame, match="impossible"):
        find_cosmics(np.full((60, 60), 100, np.float32), 1e30)
