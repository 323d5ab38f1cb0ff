"""Pixels: every injected number is measured back from the files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from processors.simulator.camera import build_camera
from processors.simulator.expose import expose, psf_of
from processors.simulator.options import NightOptions
from processors.simulator.patterns import bad_pixels, dome_light, pattern, response
from processors.simulator.plan import plan_night
from processors.simulator.readout import bleed
from tests.unit.simulator.conftest import Night

DETECTORS = (1, 2)


def halves(night: Night) -> list[tuple[slice, slice]]:
    """Raw data sections of both amplifiers."""
    geometry = night.camera.geometry
    rows, columns = geometry.data
    middle = columns.start + geometry.width // 2
    return [(rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))]


def robust_std(values: np.ndarray) -> float:
    rough = 1.4826 * np.median(np.abs(values - np.median(values))) + 1e-6
    return float(values[np.abs(values - np.median(values)) < 5 * rough].std())


@pytest.mark.parametrize("detector", DETECTORS)
def test_overscan_level_is_that_of_the_truth(night: Night, detector: int) -> None:
    for frame in night.frames:
        raw = night.raw(frame, detector)
        told = frame.truth["detectors"][detector - 1]["overscan_adu"]
        measured = [raw[night.camera.geometry.overscan(amplifier)].mean() for amplifier in (0, 1)]
        assert measured == pytest.approx(told, abs=0.06)  # 25,600 pixels of 1.8 ADU


@pytest.mark.parametrize("detector", DETECTORS)
def test_read_noise_comes_back_from_pairs_of_biases(night: Night, detector: int) -> None:
    biases = [night.raw(frame, detector) for frame in night.of("bias")]
    for amplifier, half in zip(night.camera.detectors[detector - 1].amplifiers, halves(night), strict=True):
        pairs = [robust_std(a[half] - b[half]) / np.sqrt(2) for a, b in zip(biases[::2], biases[1::2], strict=True)]
        adu = np.hypot(amplifier.read_noise_e / amplifier.gain_e_adu, np.sqrt(1 / 12 + 0.15**2))
        assert np.mean(pairs) == pytest.approx(adu, rel=0.02)


@pytest.mark.parametrize("detector", DETECTORS)
def test_gain_comes_back_from_pairs_of_flats(night: Night, detector: int) -> None:
    good = ~bad_pixels(night.camera, night.camera.detectors[detector - 1])
    bias = np.mean([night.raw(frame, detector) for frame in night.of("bias")], axis=0)
    for band in night.options.filters:
        first, second = (night.raw(frame, detector) - bias for frame in night.of("flat", band)[:2])
        for index, amplifier in enumerate(night.camera.detectors[detector - 1].amplifiers):
            half = halves(night)[index]
            columns = slice(index * night.options.width // 2, (index + 1) * night.options.width // 2)
            ok = good[:, columns]
            a, b = first[half][ok], second[half][ok] * first[half][ok].mean() / second[half][ok].mean()
            signal = a.mean()
            difference = a - b
            clipped = difference[np.abs(difference) < 5 * robust_std(difference)]
            read = amplifier.read_noise_e / amplifier.gain_e_adu
            assert signal / (clipped.var() / 2 - read**2) == pytest.approx(amplifier.gain_e_adu, rel=0.025)


@pytest.mark.parametrize("detector", DETECTORS)
def test_flats_show_the_response_and_the_dome(night: Night, detector: int) -> None:
    truth = night.camera.detectors[detector - 1]
    good = ~bad_pixels(night.camera, truth)
    flats = np.mean([night.electrons(frame, detector) for frame in night.of("flat", "r")], axis=0)
    bias = np.mean([night.electrons(frame, detector) for frame in night.of("bias")], axis=0)
    light = np.mean([frame.truth["detectors"][detector - 1]["light_e"] for frame in night.of("flat", "r")])
    expected = light * response(night.camera, truth, "r") * dome_light(night.camera, truth)
    ratio = ((flats - bias) / expected)[good]
    assert np.median(ratio) == pytest.approx(1, abs=2e-4)
    assert robust_std(ratio) == pytest.approx(1 / np.sqrt(4 * light), rel=0.05)  # nothing but photon noise is left


@pytest.mark.parametrize("detector", DETECTORS)
def test_biases_show_the_structure(night: Night, detector: int) -> None:
    truth = night.camera.detectors[detector - 1]
    level = np.median([night.electrons(frame, detector) for frame in night.of("bias")], axis=0)
    gains = np.repeat([a.gain_e_adu for a in truth.amplifiers], night.options.width // 2)
    structure = pattern(night.camera, truth).bias
    good = ~bad_pixels(night.camera, truth)
    slope = np.polyfit(structure[good], (level / gains)[good], 1)[0]  # the median has no cosmic rays
    assert slope == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("detector", DETECTORS)
def test_dark_current_and_hot_pixels_come_back(night: Night, detector: int) -> None:
    truth = night.camera.detectors[detector - 1]
    maps = pattern(night.camera, truth)
    bias = np.mean([night.electrons(frame, detector) for frame in night.of("bias")], axis=0)
    darks = np.minimum(*[night.electrons(frame, detector) for frame in night.of("dark")]) - bias
    mean = np.mean([night.electrons(frame, detector) - bias for frame in night.of("dark")], axis=0)
    good = ~bad_pixels(night.camera, truth)
    core = mean[good & (np.abs(mean) < 30)]
    assert core.mean() == pytest.approx(truth.dark_e_s * night.options.dark_s, abs=0.8)
    bright = maps.hot & (maps.dark * night.options.dark_s > 120)
    assert bright.sum() > 5
    assert (darks[bright] > 60).mean() > 0.95


@pytest.mark.parametrize("detector", DETECTORS)
def test_sky_level_is_that_of_the_truth(night: Night, detector: int) -> None:
    truth = night.camera.detectors[detector - 1]
    bias = np.mean([night.electrons(frame, detector) for frame in night.of("bias")], axis=0)
    for frame in night.of("science"):
        told = frame.truth["detectors"][detector - 1]
        flat = response(night.camera, truth, frame.planned.band or "")
        sky = np.median((night.electrons(frame, detector) - bias - told["dark_e"]) / flat)
        assert sky == pytest.approx(told["light_e"], rel=0.02)  # wings of stars lift the median a little
        assert sky > 50


def test_saturated_pixels_and_stars_are_marked(night: Night) -> None:
    options = replace(night.options, science_s=1200.0, filters=("r",))
    planned = next(planned for planned in plan_night(options) if planned.obstype == "science")
    total = 0
    for detector in night.camera.detectors:
        exposed = expose(options, night.camera, planned, detector)
        limits = [amplifier.saturation_adu for amplifier in detector.amplifiers]
        over = [int((exposed.raw[half] >= limit).sum()) for half, limit in zip(halves(night), limits, strict=True)]
        assert abs(sum(over) - exposed.saturated_pixels) <= 3 + 0.05 * exposed.saturated_pixels
        total += exposed.saturated_pixels
        assert exposed.stars is not None
        bright = exposed.stars.flux_e * psf_of(planned).peak > 1.5 * max(a.full_well_e for a in detector.amplifiers)
        assert exposed.stars.saturated[bright].all()
        assert not exposed.stars.saturated[exposed.stars.flux_e < 1e5].any()
    assert total > 20


def test_cosmic_rays_of_a_dark_lie_where_the_truth_says(night: Night) -> None:
    import fitsio

    rays = fitsio.read(night.root / "truth" / "truth_stars.fits", ext="COSMICS")
    frame = night.of("dark")[0]
    image = night.electrons(frame, 1)
    mine = rays[(rays["expid"] == frame.planned.expid) & (rays["detector"] == 1)]
    assert len(mine) == frame.truth["detectors"][0]["cosmic_rays"] > 0
    inside = image[np.rint(mine["y"] - 1).astype(int), np.rint(mine["x"] - 1).astype(int)]
    assert (inside > 80).mean() > 0.8


def test_bad_columns_are_where_the_truth_says(night: Night) -> None:
    flat = night.electrons(night.of("flat", "r")[0], 1)
    for bad in night.truth["camera"][0]["bad_columns"]:
        inside = np.median(flat[bad["first_row"] - 1 :, bad["column"] - 1])
        assert (inside < 0.3 * np.median(flat)) == (bad["kind"] == "dead")


def test_stars_come_back_with_their_flux_and_place(night: Night) -> None:
    import fitsio

    stars = fitsio.read(night.root / "truth" / "truth_stars.fits", ext="STARS")
    offsets, ratios, widths = [], [], []
    for frame in night.of("science"):
        for detector in DETECTORS:
            truth = night.camera.detectors[detector - 1]
            flat = response(night.camera, truth, frame.planned.band or "")
            bad = bad_pixels(night.camera, truth)
            image = night.electrons(frame, detector) / flat
            image = image - np.median(image)
            mine = stars[(stars["expid"] == frame.planned.expid) & (stars["detector"] == detector)]
            for star in mine[(mine["flux_e"] > 2e4) & ~mine["saturated"]]:
                measured = _aperture(image, bad, star["x"] - 1, star["y"] - 1)
                others = mine[mine["star"] != star["star"]]
                close = np.hypot(others["x"] - star["x"], others["y"] - star["y"]) < 25
                if measured is None or others[close]["flux_e"].sum() > 0.02 * star["flux_e"]:
                    continue
                flux, dx, dy, fwhm = measured
                enclosed = 1 - (1 + (12.0 / (fwhm_scale(frame))) ** 2) ** -2
                ratios.append(flux / star["flux_e"] / enclosed)
                offsets.append((dx, dy))
                widths.append(fwhm / frame.truth["exposure"]["psf"]["fwhm_px"])
    assert len(ratios) >= 10
    assert np.median(ratios) == pytest.approx(1, abs=0.02)
    assert np.median(np.abs(offsets)) < 0.05  # pixels
    assert np.abs(np.median(offsets, axis=0)).max() < 0.03
    assert np.median(widths) == pytest.approx(1, abs=0.06)


def fwhm_scale(frame: object) -> float:
    psf = frame.truth["exposure"]["psf"]  # type: ignore[attr-defined]
    return float(psf["fwhm_px"] / (2 * np.sqrt(2 ** (1 / psf["beta"]) - 1)))


def _aperture(image: np.ndarray, bad: np.ndarray, x: float, y: float) -> tuple[float, float, float, float] | None:
    """Flux in 12 pixels, windowed offset from (x, y), FWHM by area; None near bad pixels."""
    row, column, half = round(y), round(x), 14
    if not (half <= row < image.shape[0] - half and half <= column < image.shape[1] - half):
        return None
    cut = image[row - half : row + half + 1, column - half : column + half + 1]
    if bad[row - half : row + half + 1, column - half : column + half + 1].any():
        return None
    yy, xx = np.mgrid[-half : half + 1, -half : half + 1]
    r = np.hypot(yy + row - y, xx + column - x)
    rim = cut[(r > 12) & (r <= 14)]
    cut = cut - np.median(rim)
    dx = dy = 0.0
    for _ in range(20):  # as SExtractor's XWIN
        weight = cut * np.exp(-((yy + row - y - dy) ** 2 + (xx + column - x - dx) ** 2) / (2 * 2.0**2))
        dy += 2 * float((weight * (yy + row - y - dy)).sum() / weight.sum())
        dx += 2 * float((weight * (xx + column - x - dx)).sum() / weight.sum())
    zoomed = ndimage.zoom(cut[half - 8 : half + 9, half - 8 : half + 9], 8, order=3)
    fwhm = 2 * np.sqrt((zoomed > zoomed.max() / 2).sum() / np.pi) * 16 / 135
    return float(cut[r <= 12].sum()), dx, dy, float(fwhm)


def test_blooming_keeps_the_charge_and_fills_along_the_column() -> None:
    rng = np.random.default_rng(4)
    image = rng.uniform(0, 500, (300, 6)).astype(np.float32)
    image[150, 2] += 20_000
    image[100:103, 4] += 5_000
    before = image.sum(axis=0, dtype=np.float64)
    full = np.full(6, 1000, np.float32)
    count = bleed(image, full)
    assert image.max() <= 1000
    assert image.sum(axis=0, dtype=np.float64) == pytest.approx(before, rel=1e-5)
    assert count == (image >= 1000).sum() > 20
    assert image[140:161, 2].min() == 1000


def test_the_camera_does_not_depend_on_the_night_or_on_how_many_detectors_it_has() -> None:
    few = build_camera(NightOptions(seed=9, detectors=2, night="20260115"))
    many = build_camera(NightOptions(seed=9, detectors=6, night="20260116"))
    assert [d.amplifiers for d in few.detectors] == [d.amplifiers for d in many.detectors[:2]]
    assert few.detectors[0].amplifiers != build_camera(NightOptions(seed=10)).detectors[0].amplifiers
