"""Find an image on the sky by the patterns of its stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.astrometry.pairing import SURE, chance_of_neighbour, log10_chance
from processors.astrometry.quads import Quads, build_quads, mirrored

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
DEPTHS: Final = (40, 100, 250)  # brightest stars of the image to look at, in turn
_MOST_REFERENCES: Final = 3000
_CODE_TOLERANCE: Final = 0.02
_MOST_TRIED: Final = 3000
_CHUNK: Final = 100


@dataclass(frozen=True, slots=True)
class Similarity:
    """Pixels to plane: z = offset + factor * (x + iy), or * (x - iy) when mirrored; all complex.

    Attributes
    ----------
    log10_chance : float
        Odds that so many stars fall on catalogue stars by chance.
    """

    offset: complex
    factor: complex
    mirrored: bool
    log10_chance: float

    @property
    def scale(self) -> float:
        """Units of the plane per pixel."""
        return abs(self.factor)

    @property
    def matrix(self) -> Array:
        """The 2 by 2 matrix from pixels to the plane."""
        a, b, sign = self.factor.real, self.factor.imag, -1.0 if self.mirrored else 1.0
        return np.array([[a, -b * sign], [b, a * sign]])


def find_pattern(
    stars: Array,
    references: Array,
    shape: tuple[int, int],
    scale: float,
    scale_tolerance: float,
    search: float,
    mirror_first: bool = True,
) -> Similarity | None:
    """Where an image lies on the plane of a catalogue, at any rotation and in a mirror too.

    Quads of bright stars are compared by their codes, first few, then more. Each pair with equal codes is a guess, and
    is tried out on all stars: it is believed when the odds of chance are below 1e-10.

    Parameters
    ----------
    stars : (n, 2) float64
        Pixels of detected stars, from 0, brightest first.
    references : (m, 2) float64
        Catalogue stars on a plane about the expected centre of the image, brightest first.
    shape : (int, int)
        Rows and columns of the image.
    scale, scale_tolerance : float
        Expected units of the plane per pixel, and by which fraction it may be wrong.
    search : float
        How far from the plane's origin the middle of the image may be.
    mirror_first : bool
        Try the mirror image first: east is to the left on the usual sky. The other way is tried in any case.

    Returns
    -------
    Similarity or None
        None when nothing was found.
    """
    extent = np.array(shape[::-1]) * scale
    growth = float(np.prod(extent + 2 * search) / np.prod(extent))
    for depth in DEPTHS:
        bright = stars[:depth]
        known = references[: min(round(depth * growth), _MOST_REFERENCES)]
        ours = build_quads(bright, 0.03 * min(shape))
        theirs = build_quads(known, 0.03 * min(shape) * scale * (1 - scale_tolerance))
        for mirror in (mirror_first, not mirror_first):
            guesses = _guesses(bright, ours, known, theirs, mirror)
            likely = _allowed(guesses, shape, scale, scale_tolerance, search, mirror)
            found = _best(likely, stars[: 3 * depth], references, shape, mirror)
            if found is not None:
                return found
        if depth >= len(stars):
            break
    return None


def _guesses(bright: Array, ours: Quads, known: Array, theirs: Quads, mirror: bool) -> tuple[Complex, Complex]:
    """Offset and factor of the similarity of each pair of quads with equal codes, the most alike first."""
    from scipy.spatial import cKDTree

    seen = mirrored(ours) if mirror else ours
    if len(seen) == 0 or len(theirs) == 0:
        return np.empty(0, complex), np.empty(0, complex)
    near = cKDTree(theirs.codes).query_ball_point(seen.codes, _CODE_TOLERANCE)
    counts = np.array([len(found) for found in near])
    mine = np.repeat(np.arange(len(seen)), counts)
    other = np.array([index for found in near for index in found], dtype=np.intp)
    distance = np.abs(seen.codes[mine] - theirs.codes[other]).sum(axis=1)
    order = np.argsort(distance)
    z = _complex(bright, mirror)[seen.stars[mine[order]]]
    w = _complex(known, False)[theirs.stars[other[order]]]
    z_mean, w_mean = z.mean(axis=1), w.mean(axis=1)
    dz, dw = z - z_mean[:, None], w - w_mean[:, None]
    factor = (dw * dz.conj()).sum(axis=1) / (np.abs(dz) ** 2).sum(axis=1)
    return w_mean - factor * z_mean, factor


def _complex(points: Array, mirror: bool) -> Complex:
    return points[:, 0] + (-1j if mirror else 1j) * points[:, 1]


def _allowed(
    guesses: tuple[Complex, Complex],
    shape: tuple[int, int],
    scale: float,
    scale_tolerance: float,
    search: float,
    mirror: bool,
) -> tuple[Complex, Complex]:
    offset, factor = guesses
    middle = _complex(np.array([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]]), mirror)[0]
    ratio = np.abs(factor) / scale
    good = (ratio > 1 / (1 + scale_tolerance)) & (ratio < 1 + scale_tolerance)
    good &= np.abs(offset + factor * middle) <= search + 0.1 * scale * max(shape)
    return offset[good][:_MOST_TRIED], factor[good][:_MOST_TRIED]


def _best(
    guesses: tuple[Complex, Complex], stars: Array, references: Array, shape: tuple[int, int], mirror: bool
) -> Similarity | None:
    """The guess that puts most stars on catalogue stars, if that cannot be chance."""
    from scipy.spatial import cKDTree

    if len(guesses[0]) == 0:
        return None
    tree, area = cKDTree(stars), float(shape[0] * shape[1])
    radius = min(max(3.0, 0.01 * max(shape)), 0.3 * float(np.sqrt(area / len(stars))))
    chance = chance_of_neighbour(len(stars), area, radius)
    best: Similarity | None = None
    w = _complex(references, False)
    for number, (offset, factor) in enumerate(zip(*guesses, strict=True)):
        z = (w - offset) / factor
        x, y = z.real, -z.imag if mirror else z.imag
        inside = np.flatnonzero((x > 0) & (y > 0) & (x < shape[1]) & (y < shape[0]))[: 2 * len(stars)]
        if len(inside) < 5:
            continue
        distance, nearest = tree.query(np.stack([x[inside], y[inside]], axis=1), distance_upper_bound=radius)
        hit = np.isfinite(distance)
        odds = log10_chance(len(np.unique(nearest[hit])), len(inside), chance)
        if best is None or odds < best.log10_chance:
            best = Similarity(complex(offset), complex(factor), mirror, odds)
        if number % _CHUNK == _CHUNK - 1 and best.log10_chance < 3 * SURE:
            break
    return best if best is not None and best.log10_chance < SURE else None
