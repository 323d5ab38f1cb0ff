"""The prediction kernels against a slow reference written from docs/formats.md."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.codecs.residuals import from_planes, to_planes

KINDS = {1: ">u1", 2: ">i2", 4: ">i4", 8: ">i8"}


def reference(raw: bytes, pixel: int, width: int, tile: int) -> bytes:
    image = [[int(value) for value in row] for row in np.frombuffer(raw, KINDS[pixel]).reshape(-1, width)]
    bits = 8 * pixel
    folded = [[0] * width for _ in image]
    for r, row in enumerate(image):
        for x, value in enumerate(row):
            if r == 0:
                p = row[x - 1] if x else 0
            elif pixel == 8 or x < 2 or x >= width - 2:
                p = image[r - 1][x]
            else:
                above, second = image[r - 1], image[max(r - 2, 0)]
                p = (sum(above[x - 2 : x + 3]) + sum(second[x - 1 : x + 2]) + 4) // 8
            d = (value - p) % 2**bits
            d -= 2**bits if d >= 2 ** (bits - 1) else 0
            folded[r][x] = 2 * d if d >= 0 else -2 * d - 1
    out = bytearray()
    for k in range(pixel):
        for first in range(0, width, tile):
            out += bytes(z >> (8 * k) & 255 for row in folded for z in row[first : first + tile])
    return bytes(out)


@settings(max_examples=60)
@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 12), st.integers(1, 20), st.integers(1, 25), st.data())
def test_against_the_reference(pixel: int, rows: int, width: int, tile: int, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=pixel * rows * width, max_size=pixel * rows * width))
    planes = to_planes(raw, pixel, width, tile).tobytes()
    assert planes == reference(raw, pixel, width, tile)
    assert bytes(from_planes(planes, pixel, width, tile)) == raw


@pytest.mark.parametrize("pixel", [1, 2, 4, 8])
def test_wide_images(pixel: int) -> None:
    rng = np.random.default_rng(pixel)
    raw = rng.bytes(pixel * 37 * 1111)
    planes = to_planes(raw, pixel, 1111, 64).tobytes()
    assert planes == reference(raw, pixel, 1111, 64)
    assert bytes(from_planes(planes, pixel, 1111, 64)) == raw
