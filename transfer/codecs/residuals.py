"""Prediction residuals of an image in byte planes, and back (docs/formats.md section 4)."""

from __future__ import annotations

import numpy as np

from transfer.jit import kernel

SIGNED = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
RESIDUAL = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


@kernel
def _predict(above: np.ndarray, second: np.ndarray, wide: bool, p: np.ndarray) -> None:
    """Predict a row from the two rows above it (`wide`), or from the one above it alone."""
    width = p.shape[0]
    for x in range(width):
        p[x] = above[x]
    if wide:
        for x in range(
            width - 4
        ):  # loads at x .. x + 4 from arrays that start there: no negative index, so it vectorises
            total = (
                np.int64(above[x])
                + np.int64(above[x + 1])
                + np.int64(above[x + 2])
                + np.int64(above[x + 3])
                + np.int64(above[x + 4])
                + np.int64(second[x + 1])
                + np.int64(second[x + 2])
                + np.int64(second[x + 3])
            )
            p[x + 2] = (total + 4) >> 3


@kernel
def _encode(image: np.ndarray, d: np.ndarray, z: np.ndarray, tile: int, planes: np.ndarray) -> None:
    """Fill `planes` (uint8, image.nbytes) from a native image; `d` (signed) and `z` (unsigned) are rows of scratch."""
    rows, width = image.shape
    size = image.itemsize
    bits = 8 * size
    count = rows * width
    p = np.empty(width, image.dtype)
    for r in range(rows):
        row = image[r]
        if r == 0:
            p[0] = 0
            for x in range(width - 1):
                p[x + 1] = row[x]
        else:
            _predict(image[r - 1], image[max(r - 2, 0)], size < 8, p)
        for x in range(width):
            d[x] = row[x] - p[x]
            z[x] = (d[x] << 1) ^ (d[x] >> (bits - 1))
        for k in range(size):
            for first in range(0, width, tile):
                columns = min(tile, width - first)
                out = planes[k * count + first * rows + r * columns :][:columns]
                part = z[first : first + columns]
                for x in range(columns):
                    out[x] = np.uint8(part[x] >> (8 * k))


@kernel
def _gather(planes: np.ndarray, r: int, rows: int, tile: int, z: np.ndarray) -> None:
    """Collect the folded residuals of row `r` from the planes."""
    width = z.shape[0]
    count = rows * width
    for first in range(0, width, tile):
        columns = min(tile, width - first)
        part = z[first : first + columns]
        for k in range(z.itemsize):
            plane = planes[k * count + first * rows + r * columns :][:columns]
            if k == 0:
                for x in range(columns):
                    part[x] = plane[x]
            else:
                for x in range(columns):
                    part[x] |= z.dtype.type(plane[x]) << z.dtype.type(8 * k)


@kernel
def _decode(planes: np.ndarray, z: np.ndarray, tile: int, image: np.ndarray) -> None:
    """The inverse of `_encode`: fill `image` (native)."""
    rows, width = image.shape
    size = image.itemsize
    one = z.dtype.type(1)
    p = np.empty(width, image.dtype)
    for r in range(rows):
        row = image[r]
        _gather(planes, r, rows, tile, z)
        for x in range(width):
            z[x] = (z[x] >> one) ^ (~(z[x] & one) + one)
        if r == 0:
            left = image.dtype.type(0)
            for x in range(width):
                left = image.dtype.type(left + image.dtype.type(z[x]))
                row[x] = left
        else:
            _predict(image[r - 1], image[max(r - 2, 0)], size < 8, p)
            for x in range(width):
                row[x] = p[x] + image.dtype.type(z[x])


def to_planes(raw: bytes | memoryview, pixel: int, width: int, tile: int) -> np.ndarray:
    """Byte planes (uint8, as long as `raw`) of whole rows of big-endian pixels of `pixel` bytes each."""
    image = np.frombuffer(raw, np.dtype(SIGNED[pixel]).newbyteorder(">")).astype(SIGNED[pixel]).reshape(-1, width)
    planes = np.empty(image.nbytes, np.uint8)
    _encode(image, np.empty(width, RESIDUAL[pixel]), np.empty(width, UNSIGNED[pixel]), tile, planes)
    return planes


def from_planes(planes: bytes | memoryview, pixel: int, width: int, tile: int) -> memoryview:
    """The big-endian pixels that `to_planes` was given."""
    array = np.frombuffer(planes, np.uint8)
    image = np.empty((array.size // (pixel * width), width), SIGNED[pixel])
    _decode(array, np.empty(width, UNSIGNED[pixel]), tile, image)
    return image.astype(image.dtype.newbyteorder(">"), copy=False).reshape(-1).view(np.uint8).data
