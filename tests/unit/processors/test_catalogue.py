"""Reference catalogues: what is asked for comes back, and what cannot be read is named."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.catalogue.catalogue import Catalogue, load_catalogue, move, separation_deg
from processors.catalogue.columns import CatalogueColumns, guess_columns, parse_columns
from processors.catalogue.cut import cut_catalogue
from processors.errors import BadCatalogue

CSV = "ra_deg,dec_deg,g_mag,e_g_mag,pmra,pmdec,ref_epoch\n10.0,0.0,15.5,0.01,100,-50,2016\n10.5,0.2,,,,,2016\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_with_common_names_needs_no_mapping(tmp_path: Path) -> None:
    found = load_catalogue(write(tmp_path / "a.csv", "# a comment\n" + CSV), (10.2, 0.0), 1.0)

    assert list(found.ra_deg) == [10.0, 10.5]
    assert found.magnitudes["g"][0] == 15.5 and np.isnan(found.magnitudes["g"][1])
    assert found.errors["g"][0] == 0.01
    assert found.epoch is None


def test_proper_motion_moves_stars_that_have_one(tmp_path: Path) -> None:
    found = load_catalogue(write(tmp_path / "a.csv", CSV), (10.2, 0.0), 1.0, epoch=2026.0)

    assert found.epoch == 2026.0
    assert (found.ra_deg[0] - 10.0) * 3.6e6 == pytest.approx(1000, abs=0.01)
    assert found.dec_deg[0] * 3.6e6 == pytest.approx(-500, abs=0.01)
    assert found.ra_deg[1] == pytest.approx(10.5, abs=1e-12)


@pytest.mark.filterwarnings("ignore:ERFA function")
def test_proper_motion_agrees_with_astropy_near_the_pole() -> None:
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    ra, dec = np.array([12.0, 200.0]), np.array([89.99, -60.0])
    pm_ra, pm_dec = np.array([3000.0, -900.0]), np.array([-2000.0, 450.0])
    star = SkyCoord(
        ra * u.deg, dec * u.deg, pm_ra_cosdec=pm_ra * u.mas / u.yr, pm_dec=pm_dec * u.mas / u.yr, distance=1 * u.kpc,
        radial_velocity=0 * u.km / u.s, obstime=Time(1990.0, format="jyear", scale="tdb"),
    )  # fmt: skip
    later = star.apply_space_motion(Time(2020.0, format="jyear", scale="tdb"))

    moved = move(ra, dec, pm_ra, pm_dec, 30.0)

    assert separation_deg(*moved, later.ra.deg[0], later.dec.deg[0])[0] * 3600 < 1e-3
    assert separation_deg(*moved, later.ra.deg[1], later.dec.deg[1])[1] * 3600 < 1e-3


def test_fits_and_packed_csv_say_the_same(tmp_path: Path) -> None:
    table = np.array([(10.0, 0.0, 12.0), (10.4, 0.1, 11.0)], dtype=[("RA", "f8"), ("DEC", "f8"), ("MAG_VT", "f4")])
    fitsio.write(str(tmp_path / "a.fits"), table)
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("RA,DEC,MAG_VT\n10.0,0.0,12.0\n10.4,0.1,11.0\n")

    one = load_catalogue(tmp_path / "a.fits", (10.2, 0.0), 1.0)
    two = load_catalogue(tmp_path / "a.csv.gz", (10.2, 0.0), 1.0)

    np.testing.assert_array_equal(one.ra_deg, two.ra_deg)
    np.testing.assert_array_equal(one.magnitudes["VT"], two.magnitudes["VT"])
    assert list(one.brightest_first().ra_deg) == [10.4, 10.0]


def test_a_name_with_brackets_is_only_a_name(tmp_path: Path) -> None:
    fitsio.write(str(tmp_path / "x.fits"), np.array([(1.0, 2.0)], dtype=[("ra", "f8"), ("dec", "f8")]))
    odd = (tmp_path / "x.fits").rename(tmp_path / "a[1]:b.fits")

    assert len(load_catalogue(odd, (1.0, 2.0), 0.1)) == 1


@pytest.mark.parametrize("ra0,dec0,radius", [(0.1, 0.0, 3.0), (123.0, 89.5, 2.0), (300.0, -45.0, 1.5)])
def test_a_cut_catalogue_gives_the_same_stars(tmp_path: Path, ra0: float, dec0: float, radius: float) -> None:
    rng = np.random.default_rng(1)
    files = []
    for number in range(2):
        ra, dec = rng.uniform(0, 360, 40_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 40_000)))
        stars = np.empty(40_000, [(name, "f8") for name in ("ra", "dec", "gmag", "pmra", "pmdec")])
        stars["ra"], stars["dec"], stars["gmag"] = ra, dec, rng.uniform(8, 20, 40_000)
        stars["pmra"], stars["pmdec"] = rng.normal(0, 10, (2, 40_000))
        files.append(tmp_path / f"part{number}.fits")
        fitsio.write(str(files[-1]), stars)
    columns = CatalogueColumns("ra", "dec", {"g": "gmag"}, {}, "pmra", "pmdec", 2016.0)
    cut_catalogue(files, tmp_path / "cut", 4, columns)

    found = load_catalogue(tmp_path / "cut", (ra0, dec0), radius, epoch=2026.0)

    whole = [load_catalogue(path, (ra0, dec0), radius, columns, 2026.0) for path in files]
    expected = np.sort(np.concatenate([part.ra_deg for part in whole]))
    assert len(expected) > 0
    np.testing.assert_allclose(np.sort(found.ra_deg), expected, rtol=0, atol=1e-6)  # proper motions are float32


def test_a_lost_or_short_shard_is_an_error_and_no_empty_sky(tmp_path: Path) -> None:
    cut_catalogue([write(tmp_path / "a.csv", CSV)], tmp_path / "cut", 5)
    (shard,) = {p for p in (tmp_path / "cut").iterdir() if p.suffix == ".fits"}
    index = tmp_path / "cut" / "healpix.json"
    index.write_text(index.read_text().replace(": 2\n", ": 3\n"))
    with pytest.raises(BadCatalogue, match="2 stars where"):
        load_catalogue(tmp_path / "cut", (10.2, 0.0), 1.0)
    shard.unlink()
    with pytest.raises(BadCatalogue, match="No such file"):
        load_catalogue(tmp_path / "cut", (10.2, 0.0), 1.0)


GOOD_INDEX: dict[str, Any] = {
    "format": "nightferry-healpix", "version": 1, "order": 5, "nested": True, "files": "{pixel}.fits",
    "columns": {"ra": "ra", "dec": "dec"}, "rows": {},
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"order": 40}, {"order": "5"}, {"nested": 1}, {"files": "x.fits"}, {"files": "../{pixel}"},
        {"files": "{nothing}"}, {"columns": {"ra": "ra"}}, {"rows": {"-1": 3}}, {"rows": {"1": 0}}, {"rows": []},
        {"strange": 1},
    ],
)  # fmt: skip
def test_a_wrong_index_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path / "healpix.json", json.dumps({**GOOD_INDEX, **change}))
    with pytest.raises(BadCatalogue):
        load_catalogue(tmp_path, (1.0, 2.0), 1.0)


def test_an_empty_sky_is_an_empty_catalogue(tmp_path: Path) -> None:
    write(tmp_path / "healpix.json", json.dumps(GOOD_INDEX))
    assert len(load_catalogue(tmp_path, (1.0, 2.0), 1.0)) == 0


@pytest.mark.parametrize(
    "text,reason",
    [
        ("", "empty"),
        ("hello", "neither"),
        ("ra,dec\n1,2,3\n", "row 1"),
        ("ra,dec\n1,x\n", "no number"),
        ("ra,dec\nnan,2\n", "ra is nan in row 1"),
        ("ra,dec\n1,91\n", "dec is 91"),
        ("x,y\n1,2\n", "no columns with RA"),
        ("ra,dec\n\xff\n", "neither"),
    ],
)
def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadCatalogue, match=reason):
        load_catalogue(path, (1.0, 2.0), 5.0)


def test_missing_files_columns_and_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogue, match="No such file"):
        load_catalogue(tmp_path / "none.csv", (1.0, 2.0), 5.0)
    fitsio.write(str(tmp_path / "image.fits"), np.zeros((4, 4)))
    with pytest.raises(BadCatalogue, match="no table"):
        load_catalogue(tmp_path / "image.fits", (1.0, 2.0), 5.0)
    path = write(tmp_path / "a.csv", CSV)
    with pytest.raises(BadCatalogue, match="no column nothing"):
        load_catalogue(path, (1.0, 2.0), 5.0, CatalogueColumns("ra_deg", "nothing"))
    (tmp_path / "cut.fits").write_bytes((tmp_path / "image.fits").read_bytes()[:3000])
    with pytest.raises(BadCatalogue):
        load_catalogue(tmp_path / "cut.fits", (1.0, 2.0), 5.0)


def test_bands_are_found_under_the_names_that_surveys_use() -> None:
    names = ["source_id", "ra", "dec", "phot_g_mean_mag", "rmag", "e_rmag", "i_mag", "i_mag_err", "MAG_VT"]
    found = guess_columns(names, "x")
    assert found.magnitudes == {"g": "phot_g_mean_mag", "r": "rmag", "i": "i_mag", "VT": "MAG_VT"}
    assert found.errors == {"r": "e_rmag", "i": "i_mag_err"}


def test_a_mapping_is_read_as_a_person_writes_it() -> None:
    found = parse_columns("ra=RA, dec=DE,g=gmag,e_g=gerr,pm_ra=pmRA,pm_dec=pmDE,epoch=2016.0")
    assert found == CatalogueColumns("RA", "DE", {"g": "gmag"}, {"g": "gerr"}, "pmRA", "pmDE", 2016.0)
    for wrong in ("", "ra=a", "ra=a,dec=b,pm_ra=c", "ra=a,dec=b,e_g=c", "ra=a,ra=b,dec=c", "ra=a,dec=b,epoch=20"):
        with pytest.raises(BadCatalogue):
            parse_columns(wrong)


@given(st.text(max_size=60))
def test_any_mapping_is_read_or_refused(text: str) -> None:
    with suppress(BadCatalogue):
        assert parse_columns(text).ra


@settings(max_examples=50)
@given(content=st.binary(max_size=300))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(content)
    with suppress(BadCatalogue):
        assert isinstance(load_catalogue(path, (1.0, 2.0), 180.0), Catalogue)


def test_the_real_catalogues(shared_data: Path) -> None:
    stars = shared_data / "stars" / "panoptes"
    tycho = load_catalogue(stars / "tycho2_r1.6deg.fits", (303.206, 46.019), 1.6)
    assert len(tycho) == 573 and set(tycho.magnitudes) == {"VT"}
    gaia = load_catalogue(stars / "gaia_dr3_bright_r1.6deg.csv", (303.206, 46.019), 1.6)
    assert set(gaia.magnitudes) == {"mag"} and np.isfinite(gaia.magnitudes["mag"]).all()
