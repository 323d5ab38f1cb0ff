"""The Rice coder against a slow reference and against cfitsio's own bytes; the decoder against anything."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.codecs.rice_decode import SLACK as READ_SLACK
from transfer.codecs.rice_decode import decode_rows, least
from transfer.codecs.rice_encode import SLACK, UNSIGNED, Workspace, bound, encode_rows
from transfer.structure import scan

CONSTANTS = {1: (3, 6), 2: (4, 14), 4: (5, 25)}  # fsbits and fsmax of ricecomp.c, by bytes per pixel


def reference(row: np.ndarray) -> bytes:
    """A row as ricecomp.c codes it, bit by bit in Python integers."""
    pixel = row.itemsize
    head, plain = CONSTANTS[pixel]
    bits, size = 8 * pixel, 1 << 8 * pixel
    values = [int(value) % size for value in row]
    text = f"{values[0]:0{bits}b}"
    differences = [(b - a) % size for a, b in zip(values[:1] + values, values, strict=False)]
    folded = [2 * d if d < size // 2 else 2 * (size - d) - 1 for d in differences]
    for start in range(0, len(folded), 32):
        block = folded[start : start + 32]
        split = (max(sum(block) - len(block) // 2 - 1, 0) // len(block) // 2).bit_length()
        if sum(block) == 0:
            text += "0" * head
        elif split >= plain:
            text += f"{plain + 1:0{head}b}" + "".join(f"{z:0{bits}b}" for z in block)
        else:
            text += f"{split + 1:0{head}b}"
            for z in block:
                text += "0" * (z >> split) + "1" + (f"{z % (1 << split):0{split}b}" if split else "")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def coded(image: np.ndarray) -> list[bytes]:
    """Rows of a native signed or unsigned image, coded."""
    rows, width = image.shape
    pixel = image.itemsize
    out = np.empty(rows * bound(width, pixel) + SLACK, np.uint8)
    ends = np.empty(rows, np.int64)
    big = image.astype(image.dtype.newbyteorder(">")).view(UNSIGNED[pixel])
    half = rows // 2  # in two calls, as files are coded in stripes
    at = encode_rows(big[:half], Workspace.of(width, pixel), out, 0, ends[:half])
    assert encode_rows(big[half:], Workspace.of(width, pixel), out, at, ends[half:]) == ends[-1]
    return [out[start:end].tobytes() for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def uncoded(rows: list[bytes], width: int, pixel: int) -> np.ndarray | None:
    """The image of coded rows as unsigned numbers, or None when they are refused."""
    ends = np.cumsum([len(row) for row in rows])
    stream = np.frombuffer(b"".join(rows) + b"\xff" * READ_SLACK, np.uint8)
    guarded = np.full((len(rows) + 2, width), 77, UNSIGNED[pixel])
    whole = decode_rows(stream, ends - [len(row) for row in rows], ends, np.empty(width, guarded.dtype), guarded[1:-1])
    assert (guarded[[0, -1]] == 77).all()
    return guarded[1:-1].byteswap() if whole else None


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    """Images of every kind of block: flat, quiet, noisy, with bright pixels, at the limits of their type, random."""
    dtype = np.dtype(draw(st.sampled_from(["u1", "i2", "i4"])))
    rows, width = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 31, 32, 33, 64, 97, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    limits = np.iinfo(dtype)
    kind = draw(st.sampled_from(["flat", "noise", "bright", "limits", "random", "few"]))
    if kind == "flat":
        return np.full((rows, width), rng.integers(limits.min, limits.max, endpoint=True), dtype)
    if kind == "limits":
        return rng.choice([limits.min, limits.max, 0], (rows, width)).astype(dtype)
    if kind == "random":
        return rng.integers(limits.min, limits.max, (rows, width), dtype, endpoint=True)
    if kind == "few":
        return (rng.random((rows, width)) < 0.02).astype(dtype)
    sigma = 2.0 ** rng.uniform(-2, 8 * dtype.itemsize - 1)
    values = rng.normal(0, sigma, (rows, width))
    if kind == "bright":
        values[rng.random((rows, width)) < 0.03] = limits.max
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


@settings(max_examples=150)
@given(image=images())
def test_rows_are_the_references_and_come_back(image: np.ndarray) -> None:
    rows = coded(image)
    assert rows == [reference(row) for row in image]
    width, pixel = image.shape[1], image.itemsize
    assert all(least(width, pixel) <= len(row) <= bound(width, pixel) for row in rows)
    np.testing.assert_array_equal(uncoded(rows, width, pixel), image.view(UNSIGNED[pixel]))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_tiles_are_cfitsios_byte_for_byte(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(8)
    limits = np.iinfo(dtype)
    noise = np.clip(rng.normal(100, 2.0 ** np.arange(0, 40, 0.5)[:, None], (80, 203)), limits.min, limits.max)
    extremes = rng.choice([limits.min, limits.max], (9, 203))
    image = np.concatenate([noise, extremes, np.full((2, 203), 7), rng.integers(0, 2, (4, 203))]).astype(dtype)
    path = tmp_path / "a.fits"
    for width in (203, 32, 1):
        cut = np.ascontiguousarray(image[:, :width])
        with fitsio.FITS(str(path), "rw", clobber=True) as fits:
            fits.write(cut, compress="RICE_1", tile_dims=[1, width])
        assert table_rows(path) == coded(cut)


def table_rows(path: Path) -> list[bytes]:
    """Tiles of the compressed image in the first extension."""
    span = scan(path).hdus[1]
    data = path.read_bytes()[span.data_offset :]
    rows = np.frombuffer(data, ">i4", 2 * span.shape[0]).reshape(-1, 2)
    heap = data[8 * span.shape[0] :]
    return [heap[start : start + length] for length, start in rows.tolist()]


@settings(max_examples=300)
@given(data=st.data(), pixel=st.sampled_from([1, 2, 4]), width=st.integers(1, 200))
def test_any_bytes_are_refused_or_decoded_within_their_row(data: st.DataObject, pixel: int, width: int) -> None:
    size = st.integers(least(width, pixel), 400)
    rows = data.draw(st.lists(size.flatmap(lambda n: st.binary(min_size=n, max_size=n)), min_size=1, max_size=3))
    if data.draw(st.booleans()):  # long runs of zeros
        rows = [row[: len(row) // 4].ljust(len(row), b"\0") for row in rows]
    uncoded(rows, width, pixel)


@pytest.mark.parametrize("pixel", [1, 2, 4])
def test_a_row_cut_short_is_refused(pixel: int) -> None:
    image = np.random.default_rng(3).integers(0, 50, (1, 500)).astype(UNSIGNED[pixel])
    (row,) = coded(image)
    assert uncoded([row[:-2]], 500, pixel) is None
    assert uncoded([row[: least(500, pixel)]], 500, pixel) is None
    assert uncoded([row[:pixel] + bytes(len(row) - pixel)], 500, pixel) is not None  # heads of 0: a flat row
