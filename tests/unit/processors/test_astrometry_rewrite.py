"""A solution is replaced in a header, and nothing else in the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.rewrite import replaced, write_solutions
from processors.card_text import Card
from processors.errors import BadFrame
from processors.header import read_headers

CARDS: tuple[Card, ...] = (
    ("WCSAXES", 2, ""), ("CTYPE1", "RA---TAN", ""), ("CTYPE2", "DEC--TAN", ""),
    ("CRVAL1", 10.0, ""), ("CRVAL2", -20.0, ""), ("CRPIX1", 1.0, ""), ("CRPIX2", 1.0, ""),
    ("CD1_1", -1e-4, ""), ("CD1_2", 0.0, ""), ("CD2_1", 0.0, ""), ("CD2_2", 1e-4, ""),
)  # fmt: skip


def make(path: Path, checksum: bool = True) -> Path:
    """Two images with old solutions, a table, long strings, history."""
    rng = np.random.default_rng(5)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    hdus[0].header["OBSERVER"] = "O'Brien"
    for number in range(2):
        image = fits.ImageHDU(rng.integers(0, 60000, (37, 53)).astype(np.uint16), name=f"CCD{number}")
        for key, value in {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CRVAL1": 1.0, "CRVAL2": 2.0, "CRPIX1": 3.0,
                           "CRPIX2": 4.0, "CDELT1": 1e-3, "CDELT2": 1e-3, "CROTA2": 5.0, "PV1_1": 1.1, "PV2_1": 1.1,
                           "CTYPE1A": "LINEAR", "CRVAL1A": 7.0, "GAIN": 1.5, "LONG": "a&b " * 40}.items():  # fmt: skip
            image.header[key] = value
        image.header.add_history("made for a test")
        hdus.append(image)
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(9))]))
    hdus.writeto(path, checksum=checksum)
    return path


def data_of(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    return [raw[header.data_offset : header.data_offset + header.data_size] for header in read_headers(path)]


@pytest.mark.parametrize("checksum", [True, False])
def test_pixels_and_other_cards_stay(tmp_path: Path, checksum: bool) -> None:
    source, target = make(tmp_path / "a.fits", checksum), tmp_path / "b.fits"

    write_solutions(source, target, {1: CARDS})

    assert data_of(target) == data_of(source)
    was, now = read_headers(source), read_headers(target)
    gone = {"CDELT1", "CDELT2", "CROTA2", "PV1_1", "PV2_1"}
    assert set(was[1]) - set(now[1]) == gone
    changed = {keyword for keyword, _, _ in CARDS} | {"CHECKSUM"}
    assert all(was[1][keyword] == now[1][keyword] for keyword in set(was[1]) - gone - changed)
    assert all(dict(was[index]) == dict(now[index]) for index in (0, 2, 3))
    wcs = read_wcs(now[1])
    assert wcs is not None and list(wcs.wcs.crval) == [10.0, -20.0]
    with fits.open(target, checksum=checksum) as hdus:  # a wrong sum is a warning, and that an error here
        hdus.verify("exception")
        assert str(hdus[1].header["HISTORY"]) == "made for a test"
        assert hdus[1].header["CTYPE1A"] == "LINEAR" and hdus[1].header["LONG"].startswith("a&b a&b")


def test_a_header_without_a_solution_gets_one(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((20, 30), np.float32)).writeto(tmp_path / "a.fits")
    write_solutions(tmp_path / "a.fits", tmp_path / "b.fits", {0: CARDS})
    assert read_wcs(read_headers(tmp_path / "b.fits")[0]) is not None
    assert data_of(tmp_path / "b.fits") == data_of(tmp_path / "a.fits")


def test_in_place_and_from_gzip(tmp_path: Path) -> None:
    source = make(tmp_path / "a.fits")
    source.chmod(0o640)
    packed = tmp_path / "p.fits.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))

    write_solutions(packed, tmp_path / "u.fits", {2: CARDS})
    write_solutions(source, source, {2: CARDS})

    assert source.read_bytes() == (tmp_path / "u.fits").read_bytes()
    assert source.stat().st_mode & 0o777 == 0o640


def test_data_that_changed_are_not_passed_on(tmp_path: Path) -> None:
    source = make(tmp_path / "a.fits")
    header = read_headers(source)[1]
    raw = bytearray(source.read_bytes())
    raw[header.data_offset + 5] ^= 1
    source.write_bytes(raw)

    with pytest.raises(BadFrame, match="DATASUM"):
        write_solutions(source, tmp_path / "b.fits", {1: CARDS})
    assert [path.name for path in tmp_path.iterdir()] == ["a.fits"]  # nothing half written

    write_solutions(source, tmp_path / "b.fits", {1: CARDS}, ignore_datasum=True)
    now = read_headers(tmp_path / "b.fits")[1]
    assert (now["DATASUM"], now["CHECKSUM"]) == (header["DATASUM"], header["CHECKSUM"])  # as wrong as before


_KEY = st.sampled_from(
    ["GAIN", "CRVAL1", "CTYPE2", "PV1_12", "A_ORDER", "HISTORY", "COMMENT", "OBJECT", "", "WAT0_001"]
)


@given(st.lists(st.tuples(_KEY, st.integers(0, 999)), max_size=60))
def test_replacing_twice_is_replacing_once(pairs: list[tuple[str, int]]) -> None:
    body = "".join(
        f"{key:<8}  {value}".ljust(80) if key in {"HISTORY", "COMMENT", ""} else f"{key:<8}= {value:>20}".ljust(80)
        for key, value in pairs
    )
    text = f"{body}{'END':<80}"
    text += " " * (-len(text) % 2880)

    once = replaced(text, CARDS)

    assert len(once) % 2880 == 0 and replaced(once, CARDS) == once
    for key in ("GAIN", "OBJECT", "HISTORY", "COMMENT"):
        assert [c for c in cards_of(once) if c.startswith(key)] == [c for c in cards_of(text) if c.startswith(key)]
    assert not any(c.startswith(("PV1_12", "A_ORDER", "WAT0")) for c in cards_of(once))


def cards_of(text: str) -> list[str]:
    return [text[start : start + 80] for start in range(0, len(text), 80)]
