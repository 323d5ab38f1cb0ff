"""Masters of real EFOSC2 frames, against figures of the instrument and against ccdproc on the same stack."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.check_frame import open_frame
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.masters.badpix import build_badpix
from processors.masters.build import Master, Recipe, build_master
from processors.masters.combine import combine

DETECTOR = "40"


@pytest.fixture(scope="module")
def frames(shared_data: Path) -> list[Frame]:
    known = load_instruments()
    return [open_frame(path, known) for path in sorted((shared_data / "raw/efosc2_ntt").iterdir())]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masters")


@pytest.fixture(scope="module")
def bias(frames: list[Frame], place: Path) -> Master:
    return build_master("bias", of(frames, "bias"), place / "bias.fits")


@pytest.fixture(scope="module")
def skyflat(frames: list[Frame], bias: Master, place: Path) -> Master:
    return build_master("skyflat", of(frames, "skyflat"), place / "skyflat.fits", bias)


def of(frames: list[Frame], obstype: str) -> list[Frame]:
    return [frame for frame in frames if frame.identity.obstype == obstype]


def noise_of(plane: NDArray[Any]) -> float:
    """Robust scatter of the difference of neighbouring columns, of one column."""
    difference = np.diff(plane.astype(float), axis=1)
    difference -= np.median(difference)
    return float(1.4826 * np.median(np.abs(difference)) / np.sqrt(2))


def test_the_bias_has_the_noise_of_its_inputs(frames: list[Frame], bias: Master, place: Path) -> None:
    """Read noise 10.0 ADU. Neighbours in a row are anticorrelated (-0.1), so that differences of columns show more."""
    assert len(bias.inputs) == 5
    assert bias.rejected == ()
    biases = of(frames, "bias")
    three = build_master("bias", biases[::2], place / "three.fits").plane(DETECTOR)
    two = build_master("bias", biases[1::2], place / "two.fits").plane(DETECTOR)
    apart = (three - two)[50:950, 50:950]
    assert 1.4826 * np.median(np.abs(apart - np.median(apart))) / np.sqrt(1 / 3 + 1 / 2) == pytest.approx(10.0, abs=0.7)
    assert np.sqrt(bias.plane(DETECTOR, "VAR").mean() * 5) == pytest.approx(10.0, abs=0.4)
    assert bias.plane(DETECTOR, "COUNT").mean() > 4.9


def test_halves_of_the_sky_flats_agree_within_their_variance(frames: list[Frame], bias: Master, place: Path) -> None:
    first, second, third = of(frames, "skyflat")
    one = build_master("skyflat", [first, second], place / "one.fits", bias)
    two = build_master("skyflat", [third], place / "two.fits", bias)
    middle = np.s_[200:800, 200:800]
    ratio = one.plane(DETECTOR)[middle] / two.plane(DETECTOR)[middle]
    expected = np.sqrt(np.median(one.plane(DETECTOR, "VAR")[middle] + two.plane(DETECTOR, "VAR")[middle]))
    assert noise_of(ratio) == pytest.approx(expected, rel=0.1)


def test_removing_the_illumination_leaves_the_pixels_as_they_are(
    frames: list[Frame], skyflat: Master, bias: Master, place: Path
) -> None:
    recipe = Recipe(illumination="remove")
    pixels = build_master("skyflat", of(frames, "skyflat"), place / "pixels.fits", bias, recipe=recipe)
    kept, removed = skyflat.plane(DETECTOR), pixels.plane(DETECTOR)
    boxes = [
        [float(np.median(plane[y : y + 90, x : x + 90])) for y in range(60, 930, 90) for x in range(60, 930, 90)]
        for plane in (kept, removed)
    ]
    assert np.std(boxes[0]) > 0.01
    assert np.std(boxes[1]) < 0.004
    assert noise_of(removed) == pytest.approx(noise_of(kept), rel=0.03)


def test_few_pixels_of_the_detector_are_bad(skyflat: Master, bias: Master, place: Path) -> None:
    mask = build_badpix([bias, skyflat], place / "badpix.fits").mask(DETECTOR)
    assert 0 < (mask > 0)[50:950, 50:950].mean() < 0.005


def test_a_bias_is_that_of_ccdproc_where_nobody_clips(frames: list[Frame]) -> None:
    """Without clipping the mean is the same. ccdproc clips five values by their own standard deviation, which no value
    can leave by 3 (the most that is possible among n is (n - 1) / √n = 1.8): cosmic rays stay in its mean, not in ours.
    """
    import ccdproc
    from astropy.nddata import CCDData

    images = [np.asarray(frame.image(frame.setups[0]), np.float32) for frame in of(frames, "bias")]
    images[2] = images[2].copy()
    images[2][500, 500] += 3000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = [CCDData(image.astype(float), unit="adu") for image in images]
        plain = ccdproc.combine(stack, method="average").data
        clipped = ccdproc.combine(
            stack, method="average", sigma_clip=True, sigma_clip_low_thresh=3, sigma_clip_high_thresh=3,
            sigma_clip_func=np.ma.median, sigma_clip_dev_func=np.ma.std,
        ).data  # fmt: skip
    np.testing.assert_allclose(combine(images, low=np.inf, high=np.inf).value, plain, rtol=1e-6)
    made = combine(images, noise=(10.0**2, 0.0))
    assert clipped[500, 500] - np.median(plain) > 500
    assert abs(made.value[500, 500] - np.median(plain)) < 20
    untouched = made.count == 5
    assert untouched.mean() > 0.98
    np.testing.assert_allclose(made.value[untouched], clipped[untouched], rtol=1e-6)
