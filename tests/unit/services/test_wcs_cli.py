"""`nightferry wcs` on simulated mosaics: what it says, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from processors.astrometry.header_wcs import read_wcs
from processors.card_text import Card
from processors.errors import BadCatalogue
from processors.fits import ProductHDU, write_product
from processors.header import read_headers
from services.cli.wcs import wcs
from tests.unit.processors.astrometry_scene import Scene, header_of, perturbed, scene


def run(*arguments: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, records, and what was said to people."""
    done = CliRunner().invoke(wcs, [*map(str, arguments), "--json"], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    """A catalogue, and a file of two images: one 12 arcsec off and turned, one without stars of the catalogue."""
    place = tmp_path_factory.mktemp("night")
    sky, elsewhere = scene(7), scene(8)
    rows = np.stack([sky.catalogue.ra_deg, sky.catalogue.dec_deg, sky.catalogue.magnitudes["r"]], axis=1)
    np.savetxt(place / "stars.csv", rows, "%.9f", ",", header="ra,dec,r_mag", comments="")
    wrong = perturbed(sky.truth, (12.0, 5.0), 0.3)
    cards = header_of(sky.truth)
    for axis in (0, 1):
        cards[f"CRVAL{axis + 1}"] = float(wrong.wcs.crval[axis])
    cards |= {f"CD{i}_{j}": float(wrong.wcs.cd[i - 1, j - 1]) for i in (1, 2) for j in (1, 2)}
    given: tuple[Card, ...] = tuple((key, value, "") for key, value in cards.items())
    mask = np.zeros(sky.shape, np.uint16)
    hdus = [ProductHDU("N1-SCI", sky.image, given), ProductHDU("N1-MASK", mask, ())]
    write_product(place / "good.fits", [], hdus)
    write_product(place / "both.fits", [], [*hdus, ProductHDU("N2-SCI", elsewhere.image, given)])
    write_product(place / "bare.fits", [], [ProductHDU("N1-SCI", sky.image, ())])
    return place, sky


def test_check_measures_and_judges(night: tuple[Path, Scene]) -> None:
    place, _ = night
    code, (record,), _ = run("check", place / "good.fits", "--catalogue", place / "stars.csv")
    assert (code, record["verdict"], record["extname"]) == (0, "ok", "N1-SCI")
    assert np.hypot(record["offset_east_arcsec"], record["offset_north_arcsec"]) == pytest.approx(13.0, abs=0.05)
    assert abs(record["rotation_deg"]) == pytest.approx(0.3, abs=0.02)
    code, (record,), _ = run("check", place / "good.fits", "--catalogue", place / "stars.csv", "--max-rms", "1")
    assert code == 1 and record["verdict"] == "error" and "allowed" in record["message"]
    code, records, _ = run("check", place / "both.fits", "--catalogue", place / "stars.csv")
    assert code == 1 and [record["verdict"] for record in records] == ["ok", "error"]


@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_fit_writes_what_holds(night: tuple[Path, Scene], tmp_path: Path, form: str) -> None:
    place, sky = night
    code, (record,), _ = run(
        "fit", place / "good.fits", "--catalogue", place / "stars.csv", "--form", form, "-o", tmp_path
    )
    assert code == 0 and record["method"] == "header" and not record["kept"]
    assert record["was_rms_arcsec"] > 5 and record["rms_arcsec"] < 0.1
    header = read_headers(tmp_path / "good.fits")[1]
    solution = read_wcs(header)
    assert solution is not None and sky.worst_px(solution) < 0.15
    assert header["WCSNREF"] == record["matched"]
    again, (record,), _ = run("fit", tmp_path / "good.fits", "--catalogue", place / "stars.csv", "-o", tmp_path / "b")
    assert again == 0 and record["kept"]
    assert (tmp_path / "b" / "good.fits").read_bytes() == (tmp_path / "good.fits").read_bytes()


def test_fit_of_several_files_and_images(night: tuple[Path, Scene], tmp_path: Path) -> None:
    """One image of two fails: its header stays, that of the other is written, and the end says so."""
    place, sky = night
    code, records, _ = run(
        "fit", place / "good.fits", place / "both.fits", "--catalogue", place / "stars.csv", "-o", tmp_path, "-j", "2"
    )
    assert code == 1
    assert [record.get("method") for record in records] == ["header", "header", None]
    assert "no pattern" in records[2]["error"] and "no --index-dir" in records[2]["error"]
    was, now = read_headers(place / "both.fits"), read_headers(tmp_path / "both.fits")
    assert dict(was[3]) == dict(now[3]) and dict(was[2]) == dict(now[2])
    solution = read_wcs(now[1])
    assert solution is not None and sky.worst_px(solution) < 0.15


def test_fit_from_a_guess_in_place(night: tuple[Path, Scene], tmp_path: Path) -> None:
    place, sky = night
    target = tmp_path / "bare.fits"
    target.write_bytes((place / "bare.fits").read_bytes())
    options = ("fit", target, "--catalogue", place / "stars.csv", "--in-place")
    code, (record,), _ = run(*options)
    assert code == 1 and "header: no solution" in record["error"]
    assert target.read_bytes() == (place / "bare.fits").read_bytes()

    ra, dec = sky.truth.crval
    code, (record,), _ = run(*options, "--guess", f"{ra:.4f},{dec + 0.01:.4f},0.27")

    assert code == 0 and record["method"] == "guess"
    solution = read_wcs(read_headers(target)[1])
    assert solution is not None and sky.worst_px(solution) < 0.15


def test_convert_there_and_back_and_refused(night: tuple[Path, Scene], tmp_path: Path) -> None:
    _, sky = night
    bent = tmp_path / "bent.fits"
    curved = scene(9, bend=3.0)
    cards: list[Card] = [(key, value, "") for key, value in header_of(curved.truth).items()]
    cards += [("A_ORDER", 2, ""), ("B_ORDER", 2, ""), ("A_2_0", 1e-5, ""), ("B_1_1", -2e-5, "")]
    write_product(bent, [], [ProductHDU("N1-SCI", sky.image, tuple(cards))])

    code, (record,), _ = run("convert", bent, "--to", "tan", "-o", tmp_path / "tan")
    assert code == 1 and "TAN cannot hold" in record["error"] and not list((tmp_path / "tan").iterdir())
    code, (record,), _ = run("convert", bent, "--to", "tpv", "-o", tmp_path / "tpv")
    assert code == 0 and (record["from"], record["form"]) == ("sip", "tpv") and record["residual_px"] < 0.01
    code, (record,), _ = run("convert", tmp_path / "tpv" / "bent.fits", "--to", "sip", "--in-place")
    assert code == 0 and record["residual_px"] < 0.01
    assert read_headers(tmp_path / "tpv" / "bent.fits")[1]["A_ORDER"] == 2


def test_a_file_that_is_there_is_not_replaced_unasked(night: tuple[Path, Scene], tmp_path: Path) -> None:
    place, _ = night
    options = ("convert", place / "good.fits", "--to", "tpv", "-o", tmp_path)
    assert run(*options)[0] == 0
    code, (record,), _ = run(*options)
    assert code == 4 and "is there already" in record["error"]
    assert run(*options, "--overwrite")[0] == 0
    code, (record,), _ = run("convert", place / "good.fits", "--to", "tpv", "-o", place, "--overwrite")
    assert code == 4 and "is there already" in record["error"]


@pytest.mark.parametrize("guess", ["1,2", "1,95,3", "a,b,c", "1,2,-3", "1,2,3,0", "nan,1,1"])
def test_a_wrong_guess_is_a_usage_error(night: tuple[Path, Scene], guess: str) -> None:
    place, _ = night
    with pytest.raises(Exception, match="--guess is RA"):
        run("fit", place / "bare.fits", "--catalogue", place / "stars.csv", "--guess", guess)


def test_what_is_no_image_is_bad_data(night: tuple[Path, Scene], tmp_path: Path) -> None:
    place, _ = night
    (tmp_path / "x.fits").write_bytes(b"hello")
    code, (record,), _ = run("fit", tmp_path / "x.fits", "--catalogue", place / "stars.csv")
    assert code == 4 and "not a FITS file" in record["error"]


def test_people_get_a_table(night: tuple[Path, Scene]) -> None:
    place, _ = night
    done = CliRunner().invoke(
        wcs, ["check", str(place / "both.fits"), "--catalogue", str(place / "stars.csv")], standalone_mode=False
    )
    assert done.return_value == 1
    assert "both.fits" in done.stdout and "may be chance" in done.stderr


def test_a_catalogue_that_was_cut_serves_as_the_whole_one(night: tuple[Path, Scene], tmp_path: Path) -> None:
    place, sky = night
    code, (record,), _ = run("catalogue", place / "stars.csv", "-o", tmp_path / "cut", "--order", "6")
    assert (code, record["stars"], record["order"]) == (0, len(sky.catalogue), 6)
    whole, cut = (
        run("check", place / "good.fits", "--catalogue", catalogue)[1][0]
        for catalogue in (place / "stars.csv", tmp_path / "cut")
    )
    assert cut["matched"] == whole["matched"] > 50
    assert cut["rms_arcsec"] == pytest.approx(whole["rms_arcsec"], rel=1e-6)
    with pytest.raises(BadCatalogue, match="is there already"):
        run("catalogue", place / "stars.csv", "-o", tmp_path / "cut")


def test_explain_says_why_this_solution(night: tuple[Path, Scene]) -> None:
    place, _ = night
    _, (record,), _ = run("fit", place / "good.fits", "--catalogue", place / "stars.csv", "--explain")
    assert record["explain"][-1].startswith("header: degree ")
    _, (record,), _ = run("fit", place / "good.fits", "--catalogue", place / "stars.csv")
    assert "explain" not in record
