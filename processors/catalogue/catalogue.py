"""Reference catalogues: stars of known position and brightness, from a file or from a directory of HEALPix files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processors.catalogue.columns import CatalogueColumns, guess_columns
from processors.catalogue.files import Table, column_names, read_table
from processors.catalogue.shards import INDEX, read_index, shards_near
from processors.errors import BadCatalogue

Array = NDArray[np.float64]
_MAS_DEG = 1 / 3_600_000


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Stars of a catalogue, arrays of equal length.

    Attributes
    ----------
    ra_deg, dec_deg : float64
        ICRS positions, degrees, at `epoch` where proper motions are known.
    magnitudes : mapping of str to float64
        Magnitudes by band; NaN where the catalogue has none.
    errors : mapping of str to float64
        Their uncertainties, for the bands that have some.
    epoch : float or None
        Julian year to which proper motions were applied; None where positions are those of the catalogue.
    """

    ra_deg: Array
    dec_deg: Array
    magnitudes: Mapping[str, Array] = field(default_factory=dict)
    errors: Mapping[str, Array] = field(default_factory=dict)
    epoch: float | None = None

    def __len__(self) -> int:
        return len(self.ra_deg)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Catalogue:
        """Those stars only, in that order."""
        return Catalogue(
            self.ra_deg[index],
            self.dec_deg[index],
            {band: values[index] for band, values in self.magnitudes.items()},
            {band: values[index] for band, values in self.errors.items()},
            self.epoch,
        )

    def within(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Catalogue:
        """The stars within a cone."""
        return self.take(separation_deg(self.ra_deg, self.dec_deg, ra_deg, dec_deg) <= radius_deg)

    def brightest_first(self, band: str | None = None) -> Catalogue:
        """Sorted by brightness in a band (the first by default); stars without a magnitude come last (BadCatalogue)."""
        if band is None:
            band = next(iter(self.magnitudes), None)
        if band is None or band not in self.magnitudes:
            raise BadCatalogue(f"no magnitudes in band {band}; there are {', '.join(self.magnitudes) or 'none'}")
        return self.take(np.argsort(self.magnitudes[band], kind="stable"))


def load_catalogue(
    place: Path | str,
    centre: tuple[float, float],
    radius_deg: float,
    columns: CatalogueColumns | None = None,
    epoch: float | None = None,
) -> Catalogue:
    """Stars of a catalogue within a cone.

    Parameters
    ----------
    place : path
        A FITS table, a CSV file (plain or gzip, first line names the columns), or a directory of HEALPix files with its
        `healpix.json` (see `processors.catalogue.shards`).
    centre : (float, float)
        RA and Dec of the cone's axis, degrees.
    radius_deg : float
        Its half opening angle.
    columns : CatalogueColumns, optional
        Which columns hold what; without it common names are recognised (a HEALPix directory names its own).
    epoch : float, optional
        Julian year to which positions are moved, where the catalogue has proper motions and the year that they hold
        for; a star without a proper motion stays where it is.

    Raises
    ------
    BadCatalogue
        The file is missing, unreadable, lacks a column, or holds positions that are none.
    """
    if not (np.isfinite(centre).all() and abs(centre[1]) <= 90 and 0 < radius_deg <= 180):
        raise BadCatalogue(f"no cone on the sky: centre {centre}, radius {radius_deg} deg")
    place = Path(place)
    if place.is_dir():
        index = read_index(place / INDEX)
        columns = columns or index.columns
        shards = shards_near(place, index, centre, radius_deg)
        table = Table.join([_shard(*shard, columns) for shard in shards], columns)
    else:
        columns = columns or guess_columns(column_names(place), place)
        table = read_table(place, columns)
    return _cone(table, centre, radius_deg, epoch)


def _shard(path: Path, rows: int, columns: CatalogueColumns) -> Table:
    table = read_table(path, columns)
    if len(table.ra) != rows:
        raise BadCatalogue(f"{path}: {len(table.ra)} stars where {INDEX} counts {rows}")
    return table


def _cone(table: Table, centre: tuple[float, float], radius_deg: float, epoch: float | None) -> Catalogue:
    ra, dec = table.ra, table.dec
    moved = epoch is not None and table.pm_ra is not None and table.epoch is not None
    if moved:
        assert epoch is not None and table.pm_ra is not None and table.pm_dec is not None and table.epoch is not None
        ra, dec = move(ra, dec, table.pm_ra, table.pm_dec, epoch - table.epoch)
    near = separation_deg(ra, dec, *centre) <= radius_deg
    return Catalogue(
        ra[near],
        dec[near],
        {band: values[near] for band, values in table.magnitudes.items()},
        {band: values[near] for band, values in table.errors.items()},
        epoch if moved else None,
    )


def move(ra: Array, dec: Array, pm_ra: Array, pm_dec: Array, years: Array | float) -> tuple[Array, Array]:
    """Positions (degrees) after some years of proper motion (mas/yr; in RA times cos Dec, as Gaia gives it).

    Motion is straight along the tangent, without radial velocity: Hipparcos and Tycho Catalogues, ESA SP-1200,
    sec. 1.5.5, eq. 1.5.14 at zero parallax. Good at the poles too. NaN stands for no known motion.
    """
    alpha, delta = np.radians(ra), np.radians(dec)
    east = np.radians(np.nan_to_num(pm_ra) * _MAS_DEG) * years
    north = np.radians(np.nan_to_num(pm_dec) * _MAS_DEG) * years
    sin_a, cos_a, sin_d, cos_d = np.sin(alpha), np.cos(alpha), np.sin(delta), np.cos(delta)
    x = cos_d * cos_a - sin_a * east - sin_d * cos_a * north
    y = cos_d * sin_a + cos_a * east - sin_d * sin_a * north
    z = sin_d + cos_d * north
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def cone_of(cones: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """A cone (RA, Dec, radius, degrees) that holds some others, about the mean of their axes."""
    ra, dec, radius = (np.array(values) for values in zip(*cones, strict=True))
    alpha, delta = np.radians(ra), np.radians(dec)
    x, y, z = np.mean([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=1)
    ra0, dec0 = float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arctan2(z, np.hypot(x, y))))
    return ra0, dec0, min(180.0, float((separation_deg(ra, dec, ra0, dec0) + radius).max()))


def separation_deg(ra: Array, dec: Array, ra0: float, dec0: float) -> Array:
    """Angles between positions and a point, degrees (haversine, good for small ones)."""
    delta, delta0 = np.radians(dec), np.radians(dec0)
    a = np.sin((delta - delta0) / 2) ** 2 + np.cos(delta) * np.cos(delta0) * np.sin(np.radians(ra - ra0) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.minimum(a, 1.0)))))
