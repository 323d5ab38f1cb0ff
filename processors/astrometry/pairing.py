"""Which detected star is which star of the catalogue, and whether that can be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
SURE: Final = -10.0  # log10 of the odds that a pairing is chance, below which it is believed


@dataclass(frozen=True, slots=True)
class Pairs:
    """Mutual nearest neighbours: indices of stars and of catalogue stars, and their distances (pixels)."""

    star: Index
    reference: Index
    distance: Array

    def __len__(self) -> int:
        return len(self.star)


def pair(x: Array, y: Array, x_ref: Array, y_ref: Array, radius: float) -> Pairs:
    """Pair stars with catalogue stars, each the other's nearest, no farther apart than `radius`."""
    from scipy.spatial import cKDTree

    if len(x) == 0 or len(x_ref) == 0:
        return Pairs(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
    stars, references = np.stack([x, y], axis=1), np.stack([x_ref, y_ref], axis=1)
    distance, nearest = cKDTree(references).query(stars)
    _, back = cKDTree(stars).query(references)
    good = (distance <= radius) & (back[nearest] == np.arange(len(stars)))
    star = np.flatnonzero(good)
    return Pairs(star, nearest[star], distance[star])


def log10_chance(matched: int, tried: int, probability: float) -> float:
    """Upper bound of log10 of the probability that `matched` or more of `tried` independent stars find a neighbour.

    Chernoff's bound of the binomial tail (Hoeffding 1963, J. Am. Stat. Assoc. 58, 13, eq. 2.1).
    """
    if matched <= tried * probability or tried == 0:
        return 0.0
    p = min(max(probability, 1e-12), 1 - 1e-12)
    f = matched / tried
    rest = 0.0 if matched == tried else (1 - f) * math.log((1 - f) / (1 - p))
    return -tried * (f * math.log(f / p) + rest) / math.log(10)


def chance_of_neighbour(stars: int, area_px: float, radius: float) -> float:
    """Probability that a random place on the image has a star within `radius`."""
    return 1 - math.exp(-math.pi * radius * radius * stars / area_px)


def vote_for_shift(
    x: Array, y: Array, x_ref: Array, y_ref: Array, search_px: float, cell_px: float
) -> tuple[float, float]:
    """The shift of catalogue stars, no larger than `search_px`, on which most pairs agree (pixels).

    Every pair of a star and a catalogue star votes for its difference, in cells of `cell_px`; the mean of the votes
    in the fullest 2 by 2 cells is the answer. (0, 0) where nothing is in reach.
    """
    from scipy.spatial import cKDTree

    if len(x) == 0 or len(x_ref) == 0:
        return 0.0, 0.0
    stars, references = np.stack([x, y], axis=1), np.stack([x_ref, y_ref], axis=1)
    near = cKDTree(references).query_ball_point(stars, search_px)
    counts = np.array([len(found) for found in near])
    if counts.sum() == 0:
        return 0.0, 0.0
    star = np.repeat(np.arange(len(stars)), counts)
    reference = np.concatenate([np.asarray(found, dtype=np.intp) for found in near])
    shift = stars[star] - references[reference]
    edges = np.arange(-search_px - cell_px, search_px + 2 * cell_px, cell_px)
    votes = np.histogram2d(shift[:, 0], shift[:, 1], bins=[edges, edges])[0]
    blocks = votes[:-1, :-1] + votes[1:, :-1] + votes[:-1, 1:] + votes[1:, 1:]
    i, j = np.unravel_index(int(blocks.argmax()), blocks.shape)
    inside = (np.abs(shift[:, 0] - edges[i + 1]) <= cell_px) & (np.abs(shift[:, 1] - edges[j + 1]) <= cell_px)
    middle = np.median(shift[inside], axis=0)
    return float(middle[0]), float(middle[1])
