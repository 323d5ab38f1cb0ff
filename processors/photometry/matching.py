"""Sources and the catalogue's stars that are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs: indices into the first and into the second list, and their separation in arcsec."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    separation_arcsec: F8


def match_sky(ra_deg: F8, dec_deg: F8, other_ra_deg: F8, other_dec_deg: F8, radius_arcsec: float) -> Matches:
    """Pairs that are each other's nearest, within a radius; positions that are not finite match nothing."""
    first, places = _directions(ra_deg, dec_deg)
    second, others = _directions(other_ra_deg, other_dec_deg)
    if first.size == 0 or second.size == 0:
        nothing = np.empty(0, np.int64)
        return Matches(nothing, nothing, np.empty(0))
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    distance, nearest = cKDTree(others).query(places, distance_upper_bound=chord)
    _, back = cKDTree(places).query(others)
    near = np.flatnonzero(np.isfinite(distance))
    near = near[back[nearest[near]] == near]
    separation = np.degrees(2 * np.arcsin(distance[near] / 2)) * 3600
    return Matches(first[near], second[nearest[near]], separation)


def _directions(ra_deg: F8, dec_deg: F8) -> tuple[NDArray[np.int64], F8]:
    """Indices of the finite positions, and their unit vectors."""
    known = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    ra, dec = np.radians(ra_deg[known]), np.radians(dec_deg[known])
    return known, np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
