"""The kernels of `nfz`: rows of pixels to byte planes of small numbers, and back (docs/formats.md, section 4).

Arithmetic wraps, so every input comes back. No left neighbour is used below the first row: both directions vectorise.
The policy for all kernels: serial, without the interpreter's lock, kept in the cache directory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _predict16(n, m, p):  # type: ignore[no-untyped-def]
    width = p.shape[0]
    p[0], p[1], p[width - 2], p[width - 1] = n[0], n[1], n[width - 2], n[width - 1]
    n0, n1, n2, n3, n4 = n[: width - 4], n[1 : width - 3], n[2 : width - 2], n[3 : width - 1], n[4:]
    m1, m2, m3 = m[1 : width - 3], m[2 : width - 2], m[3 : width - 1]
    q = p[2 : width - 2]
    for x in range(q.shape[0]):
        # 32-bit sums: numba would widen to 64 bits and halve the lanes.
        s = np.int32(n0[x]) + np.int32(n1[x]) + np.int32(n2[x]) + np.int32(n3[x]) + np.int32(n4[x])
        s = np.int32(s) + np.int32(m1[x]) + np.int32(m2[x]) + np.int32(m3[x]) + np.int32(4)
        q[x] = np.int16(np.int32(s) >> np.int32(3))


@_compiled
def _predict(n, m, p):  # type: ignore[no-untyped-def]
    width = p.shape[0]
    p[0], p[1], p[width - 2], p[width - 1] = n[0], n[1], n[width - 2], n[width - 1]
    for x in range(2, width - 2):
        s = np.int64(n[x - 2]) + np.int64(n[x - 1]) + np.int64(n[x]) + np.int64(n[x + 1]) + np.int64(n[x + 2])
        s += np.int64(m[x - 1]) + np.int64(m[x]) + np.int64(m[x + 1]) + np.int64(4)
        p[x] = s >> np.int64(3)


@_compiled
def _forward16(rows, planes):  # type: ignore[no-untyped-def]
    height, width = rows.shape
    p = np.zeros(width, np.int16)
    p[1:] = rows[0, :-1]
    for r in range(height):
        if r > 0:
            _predict16(rows[r - 1], rows[max(r - 2, 0)], p)
        c = rows[r]
        low, high = planes[0, r * width : (r + 1) * width], planes[1, r * width : (r + 1) * width]
        for x in range(width):
            d = np.int16(np.int32(c[x]) - np.int32(p[x]))
            z = np.uint16((np.int32(d) << np.int32(1)) ^ (np.int32(d) >> np.int32(15)))
            low[x] = np.uint8(z)
            high[x] = np.uint8(z >> np.uint16(8))


@_compiled
def _backward16(planes, rows):  # type: ignore[no-untyped-def]
    height, width = rows.shape
    p = np.zeros(width, np.int16)
    for r in range(height):
        c = rows[r]
        low, high = planes[0, r * width : (r + 1) * width], planes[1, r * width : (r + 1) * width]
        if r > 0:
            _predict16(rows[r - 1], rows[max(r - 2, 0)], p)
        for x in range(width):
            z = np.int32(low[x]) | (np.int32(high[x]) << np.int32(8))
            c[x] = np.int16((z >> np.int32(1)) ^ -(z & np.int32(1))) + p[x]
        if r == 0:
            for x in range(1, width):
                c[x] = np.int16(c[x] + c[x - 1])


@_compiled
def _forward(rows, z, planes):  # type: ignore[no-untyped-def]
    height, width = rows.shape
    p = np.zeros_like(rows[0])
    p[1:] = rows[0, :-1]
    d = np.empty_like(rows[0])
    top = rows.itemsize * 8 - 1
    for r in range(height):
        if r > 0:
            _predict(rows[r - 1], rows[max(r - 2, 0)], p)
        for x in range(width):
            d[x] = rows[r, x] - p[x]
        for x in range(width):
            z[x] = (d[x] << 1) ^ (d[x] >> top)
        for b in range(planes.shape[0]):
            for x in range(width):
                planes[b, r * width + x] = (z[x] >> (8 * b)) & 0xFF


@_compiled
def _backward(planes, z, rows):  # type: ignore[no-untyped-def]
    height, width = rows.shape
    p = np.zeros_like(rows[0])
    d = np.empty_like(rows[0])
    for r in range(height):
        if r > 0:
            _predict(rows[r - 1], rows[max(r - 2, 0)], p)
        for x in range(width):
            v = np.uint64(0)
            for b in range(planes.shape[0]):
                v |= np.uint64(planes[b, r * width + x]) << np.uint64(8 * b)
            z[x] = v
        for x in range(width):
            v = np.uint64(z[x])
            d[x] = np.int64(v >> np.uint64(1)) ^ -np.int64(v & np.uint64(1))
        for x in range(width):
            rows[r, x] = d[x] + p[x]
        if r == 0:
            for x in range(1, width):
                rows[0, x] = rows[0, x] + rows[0, x - 1]


def forward(rows: Array) -> Array:
    """Byte planes of the prediction's differences.

    Parameters
    ----------
    rows : ndarray of int8, int16, int32 or int64, shape (height, width)
        Native, C-contiguous; width at least 5.

    Returns
    -------
    ndarray of uint8, shape (itemsize, height * width)
    """
    planes = np.empty((rows.itemsize, rows.size), np.uint8)
    if rows.itemsize == 2:
        _forward16(rows, planes)
    else:
        _forward(rows, np.empty(rows.shape[1], np.dtype(f"u{rows.itemsize}")), planes)
    return planes


def backward(planes: Array, rows: Array) -> None:
    """The inverse of `forward`, into `rows`."""
    if rows.itemsize == 2:
        _backward16(planes, rows)
    else:
        _backward(planes, np.empty(rows.shape[1], np.dtype(f"u{rows.itemsize}")), rows)
