"""Pixels in and out."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from processors.card_text import format_card
from processors.errors import BadFrame
from processors.fits import ProductHDU, read_image, sha256_of, to_native, write_product
from processors.header import read_headers
from tests.unit.processors import toy

RNG = np.random.default_rng(11)
IMAGES = {
    "u2": RNG.integers(0, 65536, (13, 17)).astype(np.uint16),
    "i2": RNG.integers(-32768, 32768, (13, 17)).astype(np.int16),
    "i4": RNG.integers(-(10**6), 10**6, (13, 17)).astype(np.int32),
    "f4": RNG.normal(size=(13, 17)).astype(np.float32),
    "f8": RNG.normal(size=(13, 17)),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("form", ["plain", "gzip", "rice"])
def test_pixels_are_those_that_astropy_wrote(tmp_path: Path, kind: str, form: str) -> None:
    path = tmp_path / "EFOSC.2022-01-26T19:02:38[1].fits"
    image = IMAGES[kind]
    hdu: Any = fits.ImageHDU(image)
    if form == "rice":
        hdu = fits.CompImageHDU(image, compression_type="GZIP_2" if kind[0] == "f" else "RICE_1", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    if form == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    pixels = read_image(path, read_headers(path)[1])
    np.testing.assert_array_equal(pixels, image.astype(np.uint16 if kind == "u2" else np.float32))
    assert pixels.dtype == (np.uint16 if kind == "u2" else np.float32)
    assert pixels.dtype.isnative
    assert pixels.flags.c_contiguous


def test_scaling_and_blank(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.array([[1, 2], [3, -9]], np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 2.0, 10.0, -9
    hdu.writeto(path)
    np.testing.assert_array_equal(read_image(path, read_headers(path)[0]), [[12, 14], [16, np.nan]])


def test_what_holds_no_image_is_a_bad_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
    fits.HDUList([fits.PrimaryHDU(np.zeros(5)), table, fits.ImageHDU(np.zeros((2, 3, 4)))]).writeto(path)
    for header in read_headers(path):
        with pytest.raises(BadFrame, match="no two-dimensional image"):
            read_image(path, header)


def test_a_file_cut_after_its_headers_were_read_is_a_bad_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((100, 100))).writeto(path)
    header = read_headers(path)[0]
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(BadFrame, match="truncated"):
        read_image(path, header)


@pytest.mark.parametrize("kind", ["u2", "f4", "f8", "i2", "i4"])
def test_products_come_back_with_good_checksums_and_the_same_bytes(tmp_path: Path, kind: str) -> None:
    cards = [("NFSOFT", "it's " + "long " * 30, "who"), ("NF IN1 NAME", "a.fits", ""), ("REAL", 1e-300, "")]
    for name in ("one.fits", "two.fits"):
        write_product(tmp_path / name, cards, [ProductHDU("1-SCI", IMAGES[kind], (("BUNIT", "adu", "unit"),))])
    assert sha256_of(tmp_path / "one.fits") == sha256_of(tmp_path / "two.fits")
    with fits.open(tmp_path / "one.fits", checksum=True) as hdus:  # a wrong sum is a warning, and warnings are errors
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus["1-SCI"].data, IMAGES[kind])
        assert hdus[0].header["NFSOFT"] == cards[0][1].rstrip()  # type: ignore[union-attr]
        assert hdus[0].header["NF IN1 NAME"] == "a.fits"
        assert hdus[0].header["REAL"] == 1e-300
    ours = read_headers(tmp_path / "one.fits")
    assert str(ours[0]["NFSOFT"]) == str(cards[0][1]).rstrip()
    pixels = read_image(tmp_path / "one.fits", ours[1])
    np.testing.assert_array_equal(pixels, IMAGES[kind].astype(pixels.dtype))


def test_an_error_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def planes() -> Iterator[ProductHDU]:
        yield ProductHDU("1-SCI", IMAGES["f4"])
        raise BadFrame("no more")

    (tmp_path / "old.fits").write_text("old")
    with pytest.raises(BadFrame):
        write_product(tmp_path / "old.fits", [], planes())
    assert [path.name for path in tmp_path.iterdir()] == ["old.fits"]
    assert (tmp_path / "old.fits").read_text() == "old"


def test_sections_outside_the_image_are_named(tmp_path: Path) -> None:
    known = toy.instruments(tmp_path)
    path = toy.write(tmp_path / "a.fits", {"1": np.zeros((24, 50), np.uint16)})
    frame = toy.open_frame(path, known)
    with pytest.raises(BadFrame, match=r"detector 1, amplifier A: section \[43:52,1:24\] leaves the image of 50x24"):
        frame.image(frame.setups[0])


@pytest.mark.parametrize("value", [True, False, 0, -(2**40), 1.5, 1e-30, 123456789.123, "", "x'y", "word " * 50, None])
def test_cards_are_read_as_astropy_reads_them(value: Any) -> None:
    text = format_card("KEYWORD", value, "a comment")
    assert len(text) % 80 == 0
    theirs = fits.Header.fromstring(text)["KEYWORD"]
    expected = value.rstrip() if isinstance(value, str) else value
    assert theirs == expected


def test_nan_cannot_be_written_and_other_letters_become_question_marks() -> None:
    with pytest.raises(ValueError, match="nan"):
        format_card("A", float("nan"))
    assert "caf? ?" in format_card("A", "café é")


def test_to_native_swaps_only_what_needs_it() -> None:
    foreign = np.arange(6, dtype=">i2").reshape(2, 3)
    assert to_native(foreign).dtype == np.dtype("=i2")
    native = np.arange(6, dtype=np.float32)
    assert np.shares_memory(to_native(native), native)
