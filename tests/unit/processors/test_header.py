"""The header reader: strict about structure, tolerant of values, never surprised."""

from __future__ import annotations

import gzip
import io
import warnings
from pathlib import Path

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.cards import Header, parse_value
from processors.errors import BadFrame
from processors.header import read_headers


def block(*cards: str) -> bytes:
    text = "".join(f"{card:<80}" for card in (*cards, "END"))
    return text.encode("latin-1") + b" " * (-len(text) % 2880)


PRIMARY = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0")


def read(tmp_path: Path, content: bytes) -> tuple[Header, ...]:
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    return read_headers(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (" 'it''s   ' / said", "it's"),
        ("                    T / true", True),
        ("   -12", -12),
        ("  1.5D3 / old exponent", 1500.0),
        (" .5", 0.5),
        ("  / undefined", None),
        (" ''", ""),
    ],
)
def test_values_of_the_standard(field: str, value: object) -> None:
    assert parse_value(field) == (value, True)
    assert type(parse_value(field)[0]) is type(value)


@pytest.mark.parametrize("field", [" 'open", " 1,5", " nan", " 1e999", " (1, 2)", " 1_000", " T1"])
def test_values_that_fits_does_not_know_come_back_as_text(field: str) -> None:
    value, well_formed = parse_value(field)
    assert isinstance(value, str)
    assert not well_formed


def test_hierarch_continue_duplicates_and_malformed(tmp_path: Path) -> None:
    (header,) = read(
        tmp_path,
        block(
            *PRIMARY,
            "HIERARCH ESO DET OUT1 CONAD  =         1.10 / gain",
            "LONG    = 'one&'",
            "CONTINUE  ' two&'",
            "CONTINUE  ' three' / end",
            "TWICE   =                    1",
            "TWICE   =                    2",
            "BROKEN  = 1,5",
            "COMMENT = 'not a value'",
        ),
    )
    assert header["ESO DET OUT1 CONAD"] == 1.10
    assert header["LONG"] == "one two three"
    assert header["TWICE"] == 1
    assert header.duplicates == ("TWICE",)
    assert header.malformed == ("BROKEN",)
    assert "COMMENT" not in header
    with pytest.raises(TypeError):
        header["TWICE"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
        (b"\x1f\x9d\x90junk", "Unix compress"),
        (b"\x1f\x8bjunk", "gzip"),
        (b"<html>", "HTML"),
        (b"JUNK", "not a FITS file"),
        (block(*PRIMARY)[:200], "no END"),
        (block(*PRIMARY[:2], "NAXIS   = -1"), "NAXIS is -1"),
        (block(*PRIMARY[:2], "NAXIS   = 'x'"), "NAXIS is 'x'"),
        (block(PRIMARY[0], "BITPIX  = 12", PRIMARY[2]), "BITPIX is 12"),
        (block(*PRIMARY[:2], "NAXIS   = 1", "NAXIS1  = 99999999999999999999"), "truncated"),
        (block(*PRIMARY[:2], "NAXIS   = 1"), "NAXIS1"),
        (block(*PRIMARY) + b"junk" * 720, "junk after HDU 0"),
        (block(*PRIMARY) + block("XTENSION= 'IMAGE'", *PRIMARY[1:], "PCOUNT  = -5"), "PCOUNT"),
    ],
)
def test_what_is_no_fits_is_one_clear_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_fill_after_the_last_hdu_is_forgiven_and_missing_pixels_are_not(tmp_path: Path) -> None:
    image = block(*PRIMARY[:2], "NAXIS   = 1", "NAXIS1  = 100") + bytes(100)
    assert read(tmp_path, image)[0].data_size == 100
    assert len(read(tmp_path, image + bytes(2780) + bytes(2880))) == 1
    with pytest.raises(BadFrame, match="truncated"):
        read(tmp_path, image[:-1])


def test_gzip_is_read_through_and_a_cut_stream_is_bad(tmp_path: Path) -> None:
    content = block(*PRIMARY) + block("XTENSION= 'IMAGE'", PRIMARY[1], "NAXIS   = 1", "NAXIS1  = 9000") + bytes(11520)
    packed = gzip.compress(content)
    assert [header.data_offset for header in read(tmp_path, packed)] == [2880, 5760]
    with pytest.raises(BadFrame):
        read(tmp_path, packed[: len(packed) // 2])


@settings(max_examples=300)
@given(st.binary(max_size=6000))
def test_any_bytes_are_headers_or_a_bad_frame(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.fits"
    for start in (b"", b"SIMPLE  =                    T".ljust(80), block(*PRIMARY), block(*PRIMARY) + b"XTENSION"):
        path.write_bytes(start + content)
        try:
            headers = read_headers(path)
        except BadFrame as error:
            assert str(error)
        else:
            assert headers


@settings(max_examples=300)
@given(st.lists(st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=80), max_size=8))
def test_any_cards_can_be_asked_for(cards: list[str]) -> None:
    header = Header("".join(f"{card:<80}" for card in cards))
    assert len(list(header.items())) == len(header)
    assert set(header.malformed) <= set(header)


CARDS = st.sampled_from(
    [
        "A       = 1", "A       = 2", "A       =3", "AB      = 'x&'", "CONTINUE  'y'", "ABC", "HIERARCH A = 5",
        "HIERARCH B C = 6", "COMMENT = 1", "HISTORY A       = 9", "        = 8",
        "B       = 'A       = 7'",
        "C D     = 1", "A",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(CARDS, max_size=8))
def test_one_card_at_a_time_or_all_at_once_is_the_same(cards: list[str]) -> None:
    text = "".join(f"{card:<80}" for card in cards)
    whole = Header(text)
    assert len(whole) == len(list(whole))
    for keyword in ("A", "AB", "ABC", "B", "B C", "C D", "C", "COMMENT", "HISTORY", "HIERARCH", "", "CONTINUE", "A "):
        fresh = Header(text)
        assert (keyword in fresh) == (keyword in set(whole)), keyword
        assert fresh.get(keyword, "none") == dict(whole).get(keyword, "none"), keyword


def test_values_agree_with_astropy_on_a_header_that_astropy_wrote(tmp_path: Path) -> None:
    theirs = fits.Header()
    theirs["HIERARCH ESO INS NAME"] = "it's"
    theirs["LONGTEXT"] = "word " * 40
    theirs["REAL"] = 1.23456789e-12
    theirs["WHOLE"] = 2**40
    theirs["FLAG"] = False
    stream = io.BytesIO()
    fits.PrimaryHDU(header=theirs).writeto(stream)
    (ours,) = read(tmp_path, stream.getvalue())
    for keyword in ("ESO INS NAME", "LONGTEXT", "REAL", "WHOLE", "FLAG"):
        assert ours[keyword] == (theirs[keyword].rstrip() if keyword == "LONGTEXT" else theirs[keyword])


def test_structure_and_values_agree_with_astropy_on_real_frames(shared_data: Path) -> None:
    paths = [*sorted((shared_data / "raw/efosc2_ntt").iterdir())[:2], *(shared_data / "mosaic/lsst").iterdir()]
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, disable_image_compression=True) as hdus:
                ours = read_headers(path)
                assert len(ours) == len(hdus)
                for mine, theirs in zip(ours, hdus, strict=True):
                    assert mine.data_offset == theirs.fileinfo()["datLoc"]
                    for keyword, value in mine.items():
                        expected = theirs.header.get(keyword)
                        if keyword in mine.malformed or mine.duplicates or isinstance(expected, fits.card.Undefined):
                            continue
                        assert value == expected or (value == "" and expected is None), (path.name, keyword)
