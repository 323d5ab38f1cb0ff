"""Rice: what fpack would write, verified, or refused by name."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import fitsio
import numpy as np
import pytest

from tests.unit.transfer.frames import card, image_hdu, mosaic, sky
from transfer.codecs.base import Encoded
from transfer.codecs.registry import codec_named
from transfer.codecs.rice import Rice
from transfer.errors import Corrupt, Unsupported


def encode(path: Path, codec: Rice | None = None) -> tuple[bytes, Encoded]:
    out = io.BytesIO()
    encoded = (codec or Rice()).encode(path, out, scratch=path.parent)
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


def test_funpack_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image_hdu(sky((64, 80)), card("OBJECT", "M13")) + image_hdu(sky((9, 8), "i4"), extension=True))
    packed, _ = encode(path)
    (tmp_path / "b.fits.fz").write_bytes(packed)
    subprocess.run(["funpack", str(tmp_path / "b.fits.fz")], check=True, capture_output=True)
    with fitsio.FITS(str(tmp_path / "b.fits")) as back, fitsio.FITS(str(path)) as original:
        assert len(back) == len(original)
        for ours, theirs in zip(back, original, strict=True):
            np.testing.assert_array_equal(ours.read(), theirs.read())


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


def test_already_compressed_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(mosaic(1))
    path.write_bytes(encode(path)[0])
    with pytest.raises(Unsupported, match="already"):
        encode(path)


def test_floats_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    pixels = np.random.default_rng(2).normal(100, 5, (80, 90)).astype("f4")
    path.write_bytes(image_hdu(pixels))
    packed, encoded = encode(path, Rice(quantize=16.0))
    assert encoded.fidelity.restores == "approximation"
    assert encoded.fidelity.noise_added == pytest.approx(1 / 16 / 12**0.5, abs=1e-6)
    back = np.frombuffer(decode(packed, encoded.size, tmp_path)[2880:], ">f4", pixels.size).reshape(pixels.shape)
    assert np.std(back - pixels) / 5 == pytest.approx(encoded.fidelity.noise_added, rel=0.3)


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
    for path in sorted((shared_data / "odd").rglob("*")):
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
        carried += 1
    assert carried > 30


def test_an_unknown_codec_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="zip"):
        codec_named("zip")
