"""Solutions in headers, old and new ways of writing them; conversion between forms."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.astrometry.convert import convert_wcs
from processors.astrometry.epoch import epoch_of
from processors.astrometry.header_wcs import form_of, read_wcs
from processors.astrometry.plane import ImagePlane, Tangent
from processors.astrometry.represent import exponents
from processors.cards import Header, Value
from processors.errors import BadFrame, NoSolution

SHAPE = (900, 1200)
PLAIN: dict[str, Value] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.2, "CRPIX1": 600.5, "CRPIX2": 450.5,
    "CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4,
}  # fmt: skip
BARE = {key: value for key, value in PLAIN.items() if not key.startswith("CD")}


def read(cards: dict[str, Value]) -> WCS:
    wcs = read_wcs(Header.of(cards))
    assert wcs is not None
    return wcs


def worst_px(one: WCS, two: WCS) -> float:
    y, x = (axis.ravel() for axis in np.mgrid[0 : SHAPE[0] : 20j, 0 : SHAPE[1] : 20j])
    plane = ImagePlane.of(one, SHAPE)
    a = plane.to_pixels(*plane.forward(x, y))
    b = plane.to_pixels(*plane.tangent.project(*two.all_pix2world(x, y, 0)))
    return float(np.hypot(a[0] - b[0], a[1] - b[1]).max())


def test_an_old_rotation_is_read() -> None:
    """CDELT and CROTA2 of AIPS (Calabretta & Greisen 2002, eq. 189); ours and wcslib's agree."""
    angle = np.radians(30.0)
    old = read({**BARE, "CDELT1": -1e-4, "CDELT2": 1e-4, "CROTA1": 30.0, "CROTA2": 30.0})
    matrix = np.array([[-np.cos(angle), -np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * 1e-4
    new = read({**BARE, **{f"CD{i + 1}_{j + 1}": float(matrix[i, j]) for i in (0, 1) for j in (0, 1)}})
    assert worst_px(new, old) < 1e-6


def test_a_pc_matrix_and_a_cd_matrix_beside_it() -> None:
    packed = {f"PC{i}_{j}": PLAIN[f"CD{i}_{j}"] for i in (1, 2) for j in (1, 2)}
    assert worst_px(read(PLAIN), read({**BARE, **packed, "CDELT1": 1.0, "CDELT2": 1.0})) < 1e-6
    eso = {**PLAIN, "CDELT1": 0.5, "CDELT2": 0.5, "CROTA1": 12.0, "CROTA2": 12.0, "PC1_1": 7.0}
    assert worst_px(read(PLAIN), read(eso)) < 1e-9


def test_sky_axes_may_change_places() -> None:
    swapped = {
        **PLAIN, "CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.2, "CRVAL2": 150.0,
        "CD1_1": PLAIN["CD2_1"], "CD1_2": PLAIN["CD2_2"], "CD2_1": PLAIN["CD1_1"], "CD2_2": PLAIN["CD1_2"],
    }  # fmt: skip
    assert worst_px(read(PLAIN), read(swapped)) < 1e-9
    with pytest.raises(BadFrame, match="declination is the first axis"):
        read({**swapped, "PV1_1": 1.0})


@pytest.mark.parametrize(
    "change,reason",
    [
        ({"CRVAL1": "12:30"}, "CRVAL1 is '12:30'"),
        ({"CRPIX2": True}, "CRPIX2 is True"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "no inverse|solution"),
        ({"CD1_1": "nan"}, "CD1_1"),
        ({"CTYPE2": "GLAT-TAN"}, "no position"),
        ({"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}, "solution"),
        ({"RADESYS": "FK4"}, "FK4"),
        ({"EQUINOX": 1950.0}, "1950"),
        ({"CPDIS1": "LOOKUP"}, "tables"),
        ({"CRVAL2": 123.0}, "solution|CRVAL2"),
        ({"CRVAL1": None}, "no CRVAL1"),
    ],
)
def test_a_broken_solution_is_named(change: dict[str, Value], reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        read_wcs(Header.of({**PLAIN, **change}))


def test_no_matrix_is_named_and_no_solution_is_none() -> None:
    with pytest.raises(BadFrame, match="neither a CD matrix"):
        read_wcs(Header.of(BARE))
    assert read_wcs(Header.of({"NAXIS": 2})) is None
    assert read_wcs(Header.of({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"})) is None


def test_names_of_forms() -> None:
    assert form_of(Header.of(PLAIN)) == "tan"
    assert form_of(Header.of({**PLAIN, "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6})) == "sip"
    assert form_of(Header.of({**PLAIN, "PV1_1": 1.0})) == "tpv"  # SCAMP's old name


def bent(seed: int, order: int) -> dict[str, Value]:
    """A SIP solution of some pixels of distortion at the edges, at any rotation."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle) * 1e-4, np.sin(angle) * 1e-4
    cards: dict[str, Value] = {
        **PLAIN, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRVAL2": float(rng.uniform(-85, 85)),
        "CRPIX1": float(rng.uniform(-200, 1400)), "CD1_1": -c, "CD1_2": s, "CD2_1": s, "CD2_2": c,
        "A_ORDER": order, "B_ORDER": order,
    }  # fmt: skip
    for a, b in exponents(order):
        for letter in "AB":
            if a + b > 1:
                cards[f"{letter}_{a}_{b}"] = float(rng.normal(0, 2.0) / 700.0 ** (a + b))
    return cards


@pytest.mark.parametrize("seed", range(20))
def test_sip_to_tpv_and_back(seed: int) -> None:
    """Within 1e-5 px anywhere (0.01 px asked for), at the order that was put in."""
    order = 2 + seed % 4
    was = read(bent(seed, order))
    there = convert_wcs(was, SHAPE, "tpv")
    back = convert_wcs(there.wcs, SHAPE, "sip")
    assert (there.form, back.form) == ("tpv", "sip")
    assert there.order == order
    assert worst_px(was, there.wcs) < 1e-5
    assert worst_px(was, back.wcs) < 1e-5


@pytest.mark.parametrize("seed", range(5))
def test_what_sip_says_of_the_inverse_is_near(seed: int) -> None:
    """AP and BP, which some readers use alone, to 0.2 px."""
    back = convert_wcs(read(bent(seed, 3)), SHAPE, "sip").wcs
    y, x = (axis.ravel() for axis in np.mgrid[0 : SHAPE[0] : 10j, 0 : SHAPE[1] : 10j])
    foc_x, foc_y = back.sip_pix2foc(x, y, 0)
    px, py = back.sip_foc2pix(foc_x, foc_y, 0)
    assert np.hypot(px - x, py - y).max() < 0.2


def test_plain_tan_is_refused_where_it_does_not_fit() -> None:
    with pytest.raises(NoSolution, match="TAN cannot hold"):
        convert_wcs(read(bent(1, 3)), SHAPE, "tan")
    assert convert_wcs(read(PLAIN), SHAPE, "tpv").form == "tan"  # no distortion: plain is the same
    loose = convert_wcs(read(bent(1, 3)), SHAPE, "tan", tolerance_px=100.0)
    assert worst_px(read(bent(1, 3)), loose.wcs) == pytest.approx(loose.residual_px, rel=0.2)


def test_another_projection_is_converted() -> None:
    sine = read({**PLAIN, "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"})
    assert worst_px(sine, convert_wcs(sine, SHAPE, "tpv").wcs) < 0.01


@pytest.mark.parametrize("dec", [-90.0, -45.0, 0.0, 89.9, 90.0])
def test_the_plane_agrees_with_wcslib_and_goes_back(dec: float) -> None:
    rng = np.random.default_rng(3)
    xi, eta = rng.uniform(-2, 2, (2, 200))
    tangent = Tangent(33.0, dec)
    ra, sky_dec = tangent.deproject(xi, eta)
    again = tangent.project(ra, sky_dec)
    np.testing.assert_allclose(again, (xi, eta), rtol=0, atol=1e-9)
    wcs = read({**BARE, "CRVAL1": 33.0, "CRVAL2": dec, "CD1_1": 1.0, "CD2_2": 1.0, "CD1_2": 0.0, "CD2_1": 0.0,
                "CRPIX1": 1.0, "CRPIX2": 1.0, "LONPOLE": 180.0})  # fmt: skip
    theirs = wcs.all_pix2world(xi, eta, 0)
    np.testing.assert_allclose(tangent.project(*theirs), (xi, eta), rtol=0, atol=1e-9)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from([*PLAIN, "CDELT1", "CROTA2", "PV1_1", "PV2_7", "A_ORDER", "B_ORDER", "A_2_0", "LONPOLE"]),
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9), st.text("RADEC-TNSIPV", max_size=12)
        ),
    )
)
def test_any_header_is_read_or_refused(change: dict[str, Value]) -> None:
    try:
        wcs = read_wcs(Header.of({**PLAIN, **change}))
    except BadFrame:
        return
    assert wcs is None or np.isfinite(wcs.pixel_scale_matrix).all()


def test_the_time_of_an_image() -> None:
    assert epoch_of([Header.of({}), Header.of({"DATE-OBS": "2016-07-02T00:00:00.0"})]) == pytest.approx(
        2016.5, abs=2e-3
    )
    assert epoch_of([Header.of({"DATE-OBS": "yesterday", "MJD-OBS": 51544.5})]) == 2000.0
    assert epoch_of([Header.of({"DATE-OBS": "02/07/96"})]) is None
