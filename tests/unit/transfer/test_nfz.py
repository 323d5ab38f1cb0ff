"""nfz: any bytes in, the same bytes out; anything else in, `Corrupt` out."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.transfer.frames import image_hdu, mosaic, sky
from transfer.codecs import nfz
from transfer.codecs.nfz import HEAD, MAGIC, PROLOGUE, Nfz
from transfer.errors import Corrupt, TransferError

QUICK = settings(max_examples=60)
NOWHERE = Path("/nonexistent")


def encode(path: Path, threads: int = 1) -> bytes:
    out = io.BytesIO()
    Nfz(threads).encode(path, out, scratch=NOWHERE)
    return out.getvalue()


def decode(packed: bytes, size: int, threads: int = 1) -> bytes:
    out = io.BytesIO()
    Nfz(threads).decode(io.BytesIO(packed), out, size=size, scratch=NOWHERE)
    return out.getvalue()


def there_and_back(data: bytes, path: Path) -> bytes:
    path.write_bytes(data)
    packed = encode(path)
    assert decode(packed, len(data)) == data
    return packed


@QUICK
@given(st.binary(max_size=5000))
@example(b"")
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    there_and_back(data, tmp_path / "a")


@QUICK
@given(
    st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"]),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(0, 3000),
    st.data(),
)
def test_images_cut_and_mutated(tmp_path: Path, dtype: str, shape: list[int], cut: int, data: st.DataObject) -> None:
    raw = bytearray(image_hdu(sky(tuple(shape), dtype)) + image_hdu(sky((9, 9), "i2"), extension=True) + b"tail")
    there_and_back(bytes(raw), tmp_path / "a")
    raw = raw[: max(1, len(raw) - cut)]
    for _ in range(data.draw(st.integers(0, 5))):
        raw[data.draw(st.integers(0, min(len(raw), 2000) - 1))] = data.draw(st.integers(32, 126))
    there_and_back(bytes(raw), tmp_path / "a")


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_several_stripes_small_and_threaded(tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfz, "STRIPE", 20_000)
    data = image_hdu(sky((301, 503), dtype))
    path = tmp_path / "a.fits"
    packed = there_and_back(data, path)
    assert len(packed) < 0.9 * len(data)
    assert encode(path, threads=3) == packed
    assert decode(packed, len(data), threads=3) == data


def test_extreme_values_and_one_dimension(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for dtype in ("i2", "i4", "i8"):
        limits = np.iinfo(dtype)
        there_and_back(image_hdu(rng.choice([limits.min, limits.max, 0, -1], (50, 60)).astype(dtype)), tmp_path / "a")
    there_and_back(image_hdu(sky((3_000_000,), "i2")), tmp_path / "a")
    there_and_back(image_hdu(np.full((40, 50), np.nan, "f4")), tmp_path / "a")


def test_uint16_images_shrink_as_promised(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = (rng.normal(2000, 25, (1500, 1000)) - 32768).astype("i2")  # around zero ADU + BZERO
    data = image_hdu(pixels)
    entropy_bits = np.log2(25 * np.sqrt(2 * np.pi * np.e))
    assert len(data) / len(there_and_back(data, tmp_path / "a")) > 0.96 * 16 / entropy_bits


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(mosaic(2))
    assert encode(path) == encode(path, threads=2)


def sample(tmp_path: Path) -> tuple[bytes, bytes]:
    path = tmp_path / "a"
    path.write_bytes(mosaic(1, (40, 50)))
    return path.read_bytes(), encode(path)


@settings(max_examples=200)
@given(st.data())
def test_flipped_bits_never_restore_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    raw, packed = sample(tmp_path)
    broken = bytearray(packed)
    broken[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert decode(bytes(broken), len(raw)) == raw  # zstd has bits that nothing depends on
    except Corrupt:
        return


@QUICK
@given(st.data())
def test_cut_spliced_and_made_up_input(tmp_path: Path, data: st.DataObject) -> None:
    raw, packed = sample(tmp_path)
    start = data.draw(st.integers(0, len(packed)))
    end = data.draw(st.integers(start, len(packed)))
    broken = packed[:start] + data.draw(st.binary(max_size=60)) + packed[end:]
    try:
        assert decode(broken, len(raw)) == raw
    except Corrupt:
        return


def test_wrong_size_version_and_trailing_bytes(tmp_path: Path) -> None:
    raw, packed = sample(tmp_path)
    for broken, size in (
        (packed, len(raw) + 1),
        (packed + b"x", len(raw)),
        (b"", 0),
        (PROLOGUE.pack(MAGIC, 2, 0, 0, len(raw)) + packed[24:], len(raw)),
    ):
        with pytest.raises(Corrupt):
            decode(broken, size)


def section(kind: int, pixel: int, tile: int, length: int, payload: bytes, width: int) -> bytes:
    return HEAD.pack(kind, pixel, tile, length, len(payload), width) + payload


def test_bombs_stay_small() -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(1 << 28))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 28))
    lying = bytearray(zstandard.ZstdCompressor(write_content_size=True).compress(b"x" * 5000))
    liar = bytes(lying)
    size = 1 << 40
    attacks = [
        section(nfz.ZSTD, 0, 0, 1 << 20, bomb, 0),
        section(nfz.ZSTD, 0, 0, 1 << 20, unsized, 0),
        section(nfz.ZSTD, 0, 0, 5001, liar, 0),
        section(nfz.ZSTD, 0, 0, 0xFFFFFFFF, liar, 0),
        section(nfz.IMAGE, 2, 64, 5000, liar, 0),
        section(nfz.IMAGE, 2, 0, 5000, liar, 10),
        section(nfz.IMAGE, 3, 64, 5001, liar, 10),
        section(nfz.IMAGE, 8, 64, 5000, liar, 0xFFFFFFFF),
        section(nfz.STORED, 0, 0, 10, b"short", 0),
        section(9, 0, 0, 5, b"12345", 0),
        section(nfz.STORED, 0, 0, 0, b"", 0) * 1000,
        struct.pack("<BBHIII", nfz.ZSTD, 0, 0, 1 << 24, 1 << 24, 0),
    ]
    decode_attack(attacks[0], size)  # what is made once (decompressors, kernels) does not count
    tracemalloc.start()
    for attack in attacks:
        decode_attack(attack, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def decode_attack(body: bytes, size: int) -> None:
    with pytest.raises(Corrupt):
        decode(PROLOGUE.pack(MAGIC, 1, 0, 0, size) + body, size)


def test_a_source_that_changes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(mosaic(2))
    real = nfz.layout_of

    def shrink(source: Path) -> object:
        layout = real(source)
        source.write_bytes(source.read_bytes()[:-2880])
        return layout

    monkeypatch.setattr(nfz, "layout_of", shrink)
    with pytest.raises(TransferError, match="shorter"):
        encode(path)


def test_the_real_files(shared_data: Path) -> None:
    for path in sorted(shared_data.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            assert decode(encode(path), len(data)) == data, path
