"""Signal-to-noise of the Laplacian, and the fine structure it must stand out from."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processors.cosmics.frame import LEAST_LEVEL
from processors.cosmics.laplacian import laplacian
from processors.cosmics.medians import median5, median7, median9
from processors.kernels import inlined, kernel

_LANES: Final = 16  # columns worked on at once: 13 are needed, and 16 fill a vector register
_LEAST_STRUCTURE: Final = 0.01  # σ


@inlined
def _noise(level: Any, noise2: Any, y: Any, x: Any, line: Any) -> Any:
    """Noise of a pixel (e-) from the 7 × 7 median of the level, first along the columns, then along the row."""
    A, B, C, D = level[y - 3, x - 3 :], level[y - 2, x - 3 :], level[y - 1, x - 3 :], level[y, x - 3 :]
    E, F, G = level[y + 1, x - 3 :], level[y + 2, x - 3 :], level[y + 3, x - 3 :]
    for i in range(8):
        line[i] = median7(A[i], B[i], C[i], D[i], E[i], F[i], G[i])
    typical = median7(line[0], line[1], line[2], line[3], line[4], line[5], line[6])
    return np.sqrt(max(typical, LEAST_LEVEL) + noise2)


@inlined
def _background(image: Any, level: Any, noise2: Any, y: Any, x: Any, line: Any, block: Any) -> Any:
    """7 × 7 median of the Laplacian's signal-to-noise around a pixel, each with its own noise."""
    for k in range(7):
        v = y - 3 + k
        A, B, C, D = level[v - 3, x - 6 :], level[v - 2, x - 6 :], level[v - 1, x - 6 :], level[v, x - 6 :]
        E, F, G = level[v + 1, x - 6 :], level[v + 2, x - 6 :], level[v + 3, x - 6 :]
        for i in range(_LANES):
            line[i] = median7(A[i], B[i], C[i], D[i], E[i], F[i], G[i])
        P, Q, R, S, T, U, V = line, line[1:], line[2:], line[3:], line[4:], line[5:], line[6:]
        M, N, K = image[v, x - 3 :], image[v - 1, x - 3 :], image[v + 1, x - 3 :]
        W, Z, H = image[v, x - 4 :], image[v, x - 2 :], block[k]
        for i in range(8):
            typical = median7(P[i], Q[i], R[i], S[i], T[i], U[i], V[i])
            noise = np.sqrt(max(typical, LEAST_LEVEL) + noise2)
            H[i] = laplacian(M[i], N[i], K[i], W[i], Z[i]) / (np.float32(2) * noise)
    for i in range(8):
        line[i] = median7(block[0, i], block[1, i], block[2, i], block[3, i], block[4, i], block[5, i], block[6, i])
    return median7(line[0], line[1], line[2], line[3], line[4], line[5], line[6])


@inlined
def _fine_structure(image: Any, y: Any, x: Any, line: Any, block: Any) -> Any:
    """5 × 5 median less its own 9 × 9 median at a pixel (e-): what a star leaves, and a cosmic ray does not."""
    for k in range(9):
        v = y - 4 + k
        A, B, C = image[v - 2, x - 6 :], image[v - 1, x - 6 :], image[v, x - 6 :]
        D, E = image[v + 1, x - 6 :], image[v + 2, x - 6 :]
        for i in range(_LANES):
            line[i] = median5(A[i], B[i], C[i], D[i], E[i])
        P, Q, R, S, T, H = line, line[1:], line[2:], line[3:], line[4:], block[k]
        for i in range(12):
            H[i] = median5(P[i], Q[i], R[i], S[i], T[i])
    centre = block[4, 4]
    for i in range(12):
        line[i] = median9(
            block[0, i], block[1, i], block[2, i], block[3, i], block[4, i],
            block[5, i], block[6, i], block[7, i], block[8, i],
        )  # fmt: skip
    around = median9(line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7], line[8])
    return centre - around


@kernel
def significant(image: Any, level: Any, noise2: Any, places: Any, threshold: Any, object_limit: Any) -> Any:
    """Those of the places that are cosmic rays by van Dokkum's two conditions.

    S' > `threshold`, where S' is the Laplacian over twice the noise less its own median; and S' / F > `object_limit`,
    where F is the fine structure over the noise (PASP 113, 1420, eqs. 10 to 16). Medians are separable and wider, as in
    astroscrappy: 7 × 7 for his 5 × 5, and 5 × 5 and 9 × 9 for the 3 × 3 and 7 × 7 of the fine structure. An
    `object_limit` of 0 leaves the second condition out. Places are flat indices of the image with its border.
    """
    found = np.empty(places.size, np.int64)
    line, block = np.empty(_LANES + 8, np.float32), np.empty((9, _LANES), np.float32)
    n = 0
    for place in places:
        y, x = place // image.shape[1], place % image.shape[1]
        noise = _noise(level, noise2, y, x, line)
        value = laplacian(image[y, x], image[y - 1, x], image[y + 1, x], image[y, x - 1], image[y, x + 1])
        value /= np.float32(2) * noise
        if not value > threshold:
            continue
        value -= _background(image, level, noise2, y, x, line, block)
        if not value > threshold:
            continue
        if object_limit > 0:
            structure = max(_fine_structure(image, y, x, line, block) / noise, np.float32(_LEAST_STRUCTURE))
            if not value > object_limit * structure:
                continue
        found[n] = place
        n += 1
    return found[:n]
