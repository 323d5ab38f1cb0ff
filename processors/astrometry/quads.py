"""Patterns of four stars that look the same wherever, however large and however turned they are.

The code of a quad is that of astrometry.net (Lang et al. 2010, AJ 139, 1782, section 2.2): the two stars farthest from
each other become (0, 0) and (1, 1), and the places of the other two are the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
_NEIGHBOURS: Final = 7
_PAIRS: Final = tuple(combinations(range(4), 2))


@dataclass(frozen=True, slots=True)
class Quads:
    """Quads of stars.

    Attributes
    ----------
    stars : (quads, 4) intp
        Which stars, in the order A, B, C, D of the code.
    codes : (quads, 4) float64
        xC, yC, xD, yD.
    """

    stars: Index
    codes: Array

    def __len__(self) -> int:
        return len(self.stars)


def build_quads(points: Array, smallest: float, neighbours: int = _NEIGHBOURS) -> Quads:
    """Quads of every star with three of its nearest neighbours.

    Parameters
    ----------
    points : (stars, 2) float64
        Places on a plane.
    smallest : float
        Quads whose farthest stars are nearer than that are left out, as their codes are noise.
    """
    from scipy.spatial import cKDTree

    if len(points) < 4:
        return Quads(np.empty((0, 4), np.intp), np.empty((0, 4)))
    near = min(neighbours, len(points) - 1)
    _, found = cKDTree(points).query(points, k=near + 1)
    threes = np.array(list(combinations(range(1, near + 1), 3)))
    sets = np.concatenate([np.repeat(found[:, :1], len(threes), axis=1)[:, :, None], found[:, threes]], axis=2)
    stars = np.unique(np.sort(sets.reshape(-1, 4), axis=1), axis=0)
    return _coded(points, stars, smallest)


def mirrored(quads: Quads) -> Quads:
    """The same quads as they look in a mirror: the code's mirror line is that from A to B, so x and y change places."""
    codes = quads.codes[:, [1, 0, 3, 2]]
    return _ordered(quads.stars, codes)


def _coded(points: Array, stars: Index, smallest: float) -> Quads:
    places = points[stars]
    lengths = np.stack([np.hypot(*(places[:, i] - places[:, j]).T) for i, j in _PAIRS], axis=1)
    longest = lengths.argmax(axis=1)
    keep = lengths[np.arange(len(stars)), longest] >= smallest
    stars, longest = stars[keep], longest[keep]
    order = np.array([(i, j, *(k for k in range(4) if k not in (i, j))) for i, j in _PAIRS])[longest]
    stars = np.take_along_axis(stars, order, axis=1)
    z = points[stars, 0] + 1j * points[stars, 1]
    unit = (z[:, 1] - z[:, 0]) / (1 + 1j)
    code = (z[:, 2:] - z[:, :1]) / unit[:, None]
    codes = np.stack([code[:, 0].real, code[:, 0].imag, code[:, 1].real, code[:, 1].imag], axis=1)
    return _ordered(stars, codes)


def _ordered(stars: Index, codes: Array) -> Quads:
    """Settle which is A and which is C: xC + xD <= 1 and xC <= xD, as in astrometry.net."""
    stars, codes = stars.copy(), codes.copy()
    turned = codes[:, 0] + codes[:, 2] > 1
    codes[turned] = 1 - codes[turned]
    stars[turned] = stars[turned][:, [1, 0, 2, 3]]
    swapped = codes[:, 0] > codes[:, 2]
    codes[swapped] = codes[swapped][:, [2, 3, 0, 1]]
    stars[swapped] = stars[swapped][:, [0, 1, 3, 2]]
    return Quads(stars, codes)
