"""Rice: what fpack would write, verified, or refused by name."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transfer.frames import card, image_hdu, mosaic, sky
from transfer.checksum import measure
from transfer.codecs import rice_headers
from transfer.codecs.base import Encoded
from transfer.codecs.registry import codec_named
from transfer.codecs.rice import Rice
from transfer.errors import Corrupt, Incomplete, Unsupported
from transfer.structure import scan


def encode(path: Path) -> tuple[bytes, Encoded]:
    out = io.BytesIO()
    encoded = Rice().encode(path, out, scratch=path.parent)
    return out.getvalue(), encoded


def decode(packed: bytes, size: int, scratch: Path) -> bytes:
    out = io.BytesIO()
    Rice().decode(io.BytesIO(packed), out, size=size, scratch=scratch)
    return out.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_integers_come_back_and_readers_agree(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(mosaic(2, (50, 300), dtype))
    packed, encoded = encode(path)
    assert encoded.fidelity.restores == "bytes"
    assert decode(packed, encoded.size, tmp_path) == path.read_bytes()
    (tmp_path / "a.fits.fz").write_bytes(packed)
    with fitsio.FITS(str(tmp_path / "a.fits.fz")) as ours, fitsio.FITS(str(path)) as original:
        for number in (1, 2):
            np.testing.assert_array_equal(ours[number].read(), original[number].read())
            assert ours[number].read_header()["EXTNAME"] == f"CCD{number - 1}"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.fits", "a.fits.fz"]


def test_funpack_gives_the_very_bytes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    blanks = [card(f"K{number}", number) for number in range(20)] + [b" " * 80] * 45  # END begins the third block
    path.write_bytes(
        image_hdu(sky((64, 80)), card("OBJECT", "M13"), card("DATASUM", "1"), b"HIERARCH ESO DET = 1".ljust(80))
        + image_hdu(sky((9, 8), "i4"), *blanks, extension=True)
        + image_hdu(sky((3, 9, 8), "u1"), card("CHECKSUM", "x"), extension=True)
    )
    packed, encoded = encode(path)
    assert encoded.fidelity.restores == "bytes"
    assert funpacked(packed, tmp_path) == decode(packed, encoded.size, tmp_path) == path.read_bytes()


def funpacked(packed: bytes, directory: Path) -> bytes:
    """What funpack makes of a file, without checksums of its own."""
    (directory / "b.fits.fz").write_bytes(packed)
    (directory / "b.fits").unlink(missing_ok=True)
    subprocess.run(["funpack", "-C", str(directory / "b.fits.fz")], check=True, capture_output=True)
    return (directory / "b.fits").read_bytes()


def test_what_fpack_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    for data in (mosaic(2), image_hdu(sky((64, 80))) + image_hdu(sky((9, 8), "i4"), extension=True)):
        path.write_bytes(data)
        (tmp_path / "a.fits.fz").unlink(missing_ok=True)
        subprocess.run(["fpack", "-r", str(path)], check=True, capture_output=True)
        theirs = (tmp_path / "a.fits.fz").read_bytes()
        back = decode(theirs, len(data), tmp_path)
        assert measured(back, tmp_path) == measured(data, tmp_path)


def measured(data: bytes, directory: Path) -> tuple[int, ...]:
    """DATASUM of every HDU."""
    path = directory / "measured"
    path.write_bytes(data)
    return measure(path, scan(path)).datasums


def test_astropy_reads_it_and_verifies_its_checksums(tmp_path: Path) -> None:
    path, packed = tmp_path / "a.fits", tmp_path / "a.fits.fz"
    path.write_bytes(mosaic(3))
    packed.write_bytes(encode(path)[0])
    with fits.open(packed) as ours, fits.open(path) as original:
        for number in range(1, 4):
            np.testing.assert_array_equal(ours[number].data, original[number].data)
    with fits.open(packed, checksum=True, disable_image_compression=True) as tables:  # a wrong sum is a warning
        assert all("CHECKSUM" in tables[number].header for number in range(1, 4))
        assert all(tables[number].data.size for number in range(1, 4))


def test_what_is_not_standard_is_pixels_or_unsupported_never_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    plain = image_hdu(sky((9, 8)))
    after_end = plain[:2879] + b"x" + plain[2880:]
    behind_data = plain[:-1] + b"\1"
    path.write_bytes(after_end)
    packed, encoded = encode(path)
    assert encoded.fidelity.restores == "pixels"
    assert measured(decode(packed, encoded.size, tmp_path), tmp_path) == encoded.datasums
    path.write_bytes(behind_data)
    with pytest.raises(Unsupported, match="behind its pixels"):
        encode(path)
    for key in ("ZIMAGE", "ZBITPIX", "TFORM1", "ZNAXIS2", "ZTILE1", "THEAP", "ZDATASUM"):
        path.write_bytes(image_hdu(sky((9, 8)), card(key, 3)))
        with pytest.raises(Unsupported, match=key):
            encode(path)


@settings(max_examples=60)
@given(data=st.data())
def test_bytes_are_claimed_only_when_they_come_back(tmp_path: Path, data: st.DataObject) -> None:
    hdus = []
    for number in range(data.draw(st.integers(1, 4))):
        shape = data.draw(st.none() | st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple))
        dtype = data.draw(st.sampled_from(["u1", "i2", "i4"]))
        text = st.binary(min_size=80, max_size=80) | st.sampled_from(
            [b" " * 80, card("EXTEND", True), card("PCOUNT", 0)]
        )
        extra = [each for each in data.draw(st.lists(text, max_size=40)) if not each.startswith(b"END")]
        pixels = None if shape is None else sky(shape, dtype, number)
        hdu = bytearray(image_hdu(pixels, *extra, extension=number > 0))
        if data.draw(st.integers(0, 4)) == 0:
            hdu[-1] ^= data.draw(st.integers(0, 255))  # in the padding of the data or of the header
        hdus.append(bytes(hdu))
    path = tmp_path / "a.fits"
    path.write_bytes(b"".join(hdus) + data.draw(st.binary(max_size=100)))
    try:
        packed, encoded = encode(path)
    except Unsupported:
        return
    back = decode(packed, encoded.size, tmp_path)
    assert measured(back, tmp_path) == encoded.datasums
    if encoded.fidelity.restores == "bytes":
        assert back == path.read_bytes()


@settings(max_examples=150)
@given(data=st.data())
def test_damage_is_corrupt_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image_hdu(sky((12, 50))) + image_hdu(sky((5, 50), "u1"), extension=True))
    packed, encoded = encode(path)
    damaged = bytearray(packed)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255) | st.sampled_from(b" 0T9"))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(packed))) :]
    try:
        back = decode(bytes(damaged), encoded.size, tmp_path)
    except Corrupt:
        back = b""
    assert len(back) <= 2 * encoded.size + (1 << 20)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.fits"]


def test_extremes_and_scaled_integers(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    rng = np.random.default_rng(5)
    for dtype in ("i2", "i4"):
        limits = np.iinfo(dtype)
        pixels = rng.choice([limits.min, limits.max, 0, -1], (20, 31)).astype(dtype)
        path.write_bytes(image_hdu(pixels, card("BSCALE", 2.5), card("BZERO", 7), card("BLANK", -1)))
        packed, encoded = encode(path)
        assert decode(packed, encoded.size, tmp_path) == path.read_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no FITS", "not whole FITS"),
        (image_hdu(sky((8, 8)))[:-1], "not whole FITS"),
        (image_hdu(sky((8, 8), "f4")), "floating-point"),
        (image_hdu(sky((8, 8), "i8")), "64-bit"),
    ],
)
def test_what_it_cannot_carry_is_unsupported(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(data)
    with pytest.raises(Unsupported, match=reason):
        encode(path)


class Meddler(io.BytesIO):
    """A sink that changes the source as soon as something of it was packed."""

    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__()
        self.path, self.data = path, data

    def write(self, data: Any, /) -> int:
        self.path.write_bytes(self.data)
        return super().write(data)


def test_a_file_that_changes_meanwhile_is_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    before = mosaic(3)
    other = before[:-30_000] + before[-30_000:].replace(b"                  70 /", b"                  35 /")
    for after, reason in ((before + b"x", "grew"), (before[:-9000], "shorter"), (other, "changed")):
        assert after != before
        path.write_bytes(before)
        with pytest.raises(Incomplete, match=reason):
            Rice().encode(path, Meddler(path, after), scratch=tmp_path)


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image_hdu(sky((20, 30))))
    packed, encoded = encode(path)
    marked = rice_headers.join([*rice_headers.split(packed[:2880]), card("NFPRIM", True)]) + packed[2880:]
    assert decode(marked, encoded.size, tmp_path) == path.read_bytes()


def test_already_compressed_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(mosaic(1))
    path.write_bytes(encode(path)[0])
    with pytest.raises(Unsupported, match="already"):
        encode(path)


def test_damaged_headers_are_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(mosaic(1))
    packed, encoded = encode(path)
    larger = packed.replace(b"ZNAXIS1 =                   70", b"ZNAXIS1 =               700000")
    assert larger != packed
    with pytest.raises(Corrupt):
        decode(larger, encoded.size, tmp_path)
    with pytest.raises(Corrupt):
        decode(b"junk", 100, tmp_path)


def test_the_real_files_are_carried_or_refused(shared_data: Path, tmp_path: Path) -> None:
    carried = 0
    for path in sorted((shared_data / "odd").rglob("*")) + sorted((shared_data / "raw").rglob("*")):
        if not path.is_file():
            continue
        copy = tmp_path / "copy"
        shutil.copyfile(path, copy)
        try:
            packed, encoded = encode(copy)
        except Unsupported:
            continue
        assert encoded.fidelity.restores == "bytes"
        assert decode(packed, encoded.size, tmp_path) == path.read_bytes()
        if path.is_relative_to(shared_data / "raw"):
            assert funpacked(packed, tmp_path) == path.read_bytes()
        carried += 1
    assert carried > 50


def test_an_unknown_codec_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="zip"):
        codec_named("zip")
