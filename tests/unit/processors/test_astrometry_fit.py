"""Solutions of simulated fields are asked back; real fields are solved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.astrometry.agreement import compare, residuals
from processors.astrometry.convert import convert_wcs
from processors.astrometry.fit import Guess, fit_solution
from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.plane import ImagePlane
from processors.astrometry.stars import Stars, find_stars
from processors.catalogue.catalogue import load_catalogue
from processors.errors import NoSolution
from processors.fits import read_image
from processors.header import read_headers
from tests.unit.processors.astrometry_scene import perturbed, scene

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_error_of_a_header_is_measured(seed: int) -> None:
    """Offset to 0.02 arcsec (0.08 px), rotation to 0.02 deg, scale to 3e-4."""
    rng = np.random.default_rng(100 + seed)
    sky = scene(seed)
    east, north = rng.uniform(-15, 15, 2)
    turn, scale = rng.uniform(-0.1, 0.1), rng.uniform(0.999, 1.001)
    wrong = perturbed(sky.truth, (east, north), turn, scale)

    found = compare(wrong, sky.shape, find_stars(sky.image), sky.catalogue, 100.0)

    assert found.sure and found.matched > 60
    assert found.offset_arcsec == pytest.approx((-east, -north), abs=0.02)
    assert abs(found.rotation_deg) == pytest.approx(abs(turn), abs=0.02)
    assert found.scale == pytest.approx(1 / scale, abs=3e-4)
    assert found.best_rms_arcsec < 0.08
    assert found.rms_arcsec == pytest.approx(np.hypot(east, north) / np.sqrt(2), rel=0.1, abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_solution_is_mended(seed: int) -> None:
    """Off by up to 3 arcmin, any quarter turn and 2 deg, 4 % in scale, mirrored or not: right to 0.15 px anywhere."""
    rng = np.random.default_rng(200 + seed)
    sky = scene(seed, flip=bool(seed % 3 == 0))
    wrong = perturbed(
        sky.truth, tuple(rng.uniform(-125, 125, 2)), 90 * rng.integers(4) + rng.uniform(-2, 2),
        rng.uniform(0.96, 1.04), flip=bool(seed % 2),
    )  # fmt: skip

    solution = fit_solution(find_stars(sky.image), sky.shape, sky.catalogue, wrong)

    assert not solution.kept and solution.written is not None
    assert sky.worst_px(solution.written.wcs) < 0.15
    assert solution.agreement.sure and solution.agreement.rms_px < 0.3
    assert solution.written.form == "tan"  # no distortion was put in, none is found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_a_distorted_field_is_fitted(seed: int, form: str) -> None:
    """Three pixels of cubic distortion in the corners, right to 0.4 px anywhere."""
    sky = scene(seed, (1024, 1024), bend=3.0)
    wrong = perturbed(sky.truth, (20.0, -30.0), 0.5, 1.002)

    solution = fit_solution(find_stars(sky.image), sky.shape, sky.catalogue, wrong, form)  # type: ignore[arg-type]

    assert solution.written is not None and solution.written.form == form
    assert solution.order == 3
    assert sky.worst_px(solution.written.wcs) < 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_solution_is_never_made_worse(seed: int) -> None:
    """What was right is kept, or is still right to 0.1 px anywhere."""
    sky = scene(seed)
    right = perturbed(sky.truth, (0.0, 0.0), 0.0)

    solution = fit_solution(find_stars(sky.image), sky.shape, sky.catalogue, right)

    assert solution.written is None or sky.worst_px(solution.written.wcs) < 0.1
    assert solution.given is not None and solution.given.sure


@pytest.mark.parametrize("place", [(0.001, 0.0), (200.0, 89.99), (10.0, 89.9999), (77.0, -89.98), (359.9, -89.9943)])
@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_poles_and_the_origin_of_ra_are_places_like_others(place: tuple[float, float], form: str) -> None:
    sky = scene(6, place=place, bend=2.0)
    wrong = perturbed(sky.truth, (0.0, -20.0), 91.0)

    solution = fit_solution(find_stars(sky.image), sky.shape, sky.catalogue, wrong, form)  # type: ignore[arg-type]

    assert solution.written is not None and sky.worst_px(solution.written.wcs) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_few_stars_do(seed: int) -> None:
    """Some 20 stars: right to 1 px anywhere, no degree above the first."""
    sky = scene(seed, zero_point=28.0)
    wrong = perturbed(sky.truth, (-60.0, 80.0), 181.0, 0.98)

    solution = fit_solution(find_stars(sky.image), sky.shape, sky.catalogue, wrong)

    assert solution.written is not None and solution.order <= 1
    assert sky.worst_px(solution.written.wcs) < 1.0


def test_a_given_distortion_survives_where_stars_are_few() -> None:
    sky = scene(3, bend=3.0)
    stars = find_stars(sky.image)
    good = fit_solution(stars, sky.shape, sky.catalogue, perturbed(sky.truth, (5.0, 5.0), 0.1)).written
    assert good is not None
    moved = good.wcs.deepcopy()
    moved.wcs.crval = moved.wcs.crval + np.array([0.004, -0.003])
    few = Stars(stars.x[:25], stars.y[:25], stars.flux[:25])

    solution = fit_solution(few, sky.shape, sky.catalogue, moved)

    assert solution.written is not None and solution.order <= 1
    assert sky.worst_px(solution.written.wcs) < sky.worst_px(good.wcs) + 0.3


def test_another_field_is_no_solution() -> None:
    here, there = scene(1), scene(2)
    with pytest.raises(NoSolution, match="no pattern"):
        fit_solution(find_stars(here.image), here.shape, there.catalogue, perturbed(there.truth, (0, 0), 0))


@pytest.mark.parametrize("seed", range(5))
def test_random_dots_are_no_solution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sky = scene(4)
    dots = Stars(rng.uniform(0, 768, 300), rng.uniform(0, 768, 300), np.sort(rng.uniform(1, 9, 300))[::-1])
    assert not compare(perturbed(sky.truth, (0, 0), 0), sky.shape, dots, sky.catalogue, 100.0).sure
    with pytest.raises(NoSolution):
        fit_solution(dots, sky.shape, sky.catalogue, perturbed(sky.truth, (0, 0), 0))


def test_too_few_stars_are_no_solution() -> None:
    sky = scene(4)
    stars = find_stars(sky.image)
    few = Stars(stars.x[:4], stars.y[:4], stars.flux[:4])
    with pytest.raises(NoSolution, match="4 stars"):
        fit_solution(few, sky.shape, sky.catalogue, perturbed(sky.truth, (0, 0), 0))


@pytest.mark.parametrize("ra,dec,scale", [(303.0, 46.2, 10.3), (303.5, 45.8, 9.8), (303.2101, 46.0192, 10.8)])
def test_panoptes_is_solved_from_a_guess(shared_data: Path, ra: float, dec: float, scale: float) -> None:
    """A raw Bayer frame of a wide field. Expected: centre 303.2101 +46.0192, 10.3 arcsec/px, 259 of 280 within 3 px."""
    frame = shared_data / "stars" / "panoptes" / "unsolved.fits"
    header = read_headers(frame)[0]
    image = read_image(frame, header)
    stars = find_stars(image)
    catalogue = load_catalogue(frame.parent / "tycho2_r1.6deg.fits", (303.2, 46.0), 1.6)

    solution = fit_solution(stars, image.shape, catalogue, Guess(ra, dec, scale), search_arcsec=2400)

    assert solution.written is not None
    plane = ImagePlane.of(solution.written.wcs, image.shape)
    assert plane.tangent.ra_deg == pytest.approx(303.2101, abs=0.003)
    assert plane.tangent.dec_deg == pytest.approx(46.0192, abs=0.002)
    assert plane.scale_deg * 3600 == pytest.approx(10.31, abs=0.02)
    assert residuals(plane, stars, catalogue, 3.0)[0] >= 259
    assert solution.agreement.rms_px < 0.4


def test_panoptes_solved_agrees_and_is_converted(shared_data: Path) -> None:
    frame = shared_data / "stars" / "panoptes" / "solved.fits.fz"
    header = read_headers(frame)[1]
    image, wcs = read_image(frame, header), read_wcs(header)
    assert wcs is not None
    catalogue = load_catalogue(frame.parent / "gaia_dr3_bright_r1.6deg.csv", (303.2, 46.0), 1.6)
    stars = find_stars(image)

    found = compare(wcs, image.shape, stars, catalogue, 5.0)
    there = convert_wcs(wcs, image.shape, "tpv")
    back = convert_wcs(there.wcs, image.shape, "sip")

    assert found.sure and found.matched > 100 and found.rms_px < 1.0
    assert max(there.residual_px, back.residual_px) < 1e-4
    y, x = (axis.ravel() for axis in np.mgrid[0:700:50.0, 0:700:50.0])
    plane = ImagePlane.of(wcs, image.shape)
    ra, dec = back.wcs.all_pix2world(x, y, 0)
    px, py, index = plane.find(ra, dec, 1.0)
    assert len(index) == len(x)
    assert np.hypot(px - x[index], py - y[index]).max() < 0.01
