"""A large reference catalogue as a directory of files, one per HEALPix pixel.

`healpix.json` in the directory says how it is cut:

    {"format": "nightferry-healpix", "version": 1, "order": 5, "nested": true, "files": "{pixel:05d}.fits",
     "columns": {"ra": "ra", "dec": "dec", "g": "gmag", "pm_ra": "pmra", "pm_dec": "pmdec", "epoch": 2016.0},
     "rows": {"4711": 1234, ...}}

`files` gives a file's name (FITS or CSV) from its pixel number (Gorski et al. 2005, ApJ 622, 759), which may be in a
directory below; `rows` names every pixel that holds stars and how many, so that a file that was lost is an error and no
empty sky.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processors.catalogue.columns import CatalogueColumns, columns_of
from processors.errors import BadCatalogue

INDEX: Final = "healpix.json"
_KEYS: Final = {"format", "version", "order", "nested", "files", "columns", "rows"}
_MARGIN_DEG: Final = 0.05  # stars that proper motion brings in from a pixel next to the cone


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """How a catalogue is cut: HEALPix order, numbering, names of files, columns, and the stars of each pixel."""

    order: int
    nested: bool
    files: str
    columns: CatalogueColumns
    rows: Mapping[int, int]

    def path(self, pixel: int) -> str:
        """Name of a pixel's file below the directory."""
        return self.files.format(pixel=pixel)


def read_index(path: Path) -> ShardIndex:
    """Read `healpix.json` (BadCatalogue: missing, unreadable, another version, unknown keys)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadCatalogue(f"{path}: {error.strerror}: a directory of HEALPix files needs it") from error
    except ValueError as error:
        raise BadCatalogue(f"{path}: no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != "nightferry-healpix" or document.get("version") != 1:
        raise BadCatalogue(f"{path}: not a nightferry-healpix index of version 1")
    if wrong := sorted(_KEYS ^ set(document)):
        raise BadCatalogue(f"{path}: missing or unknown keys: {', '.join(wrong)}")
    order, nested, files = document["order"], document["nested"], document["files"]
    if type(order) is not int or not 0 <= order <= 12 or type(nested) is not bool:
        raise BadCatalogue(f"{path}: order is {order!r}, nested is {nested!r}")
    _refuse_template(path, files)
    if not isinstance(document["columns"], dict):
        raise BadCatalogue(f"{path}: columns is no mapping")
    return ShardIndex(order, nested, files, columns_of(document["columns"]), _rows(path, document["rows"], order))


def _refuse_template(path: Path, files: Any) -> None:
    try:
        names = {files.format(pixel=0), files.format(pixel=1)}
    except (AttributeError, KeyError, IndexError, ValueError) as error:
        raise BadCatalogue(f"{path}: files is {files!r}, no name with {{pixel}} in it") from error
    if len(names) != 2 or any(name.startswith("/") or ".." in Path(name).parts for name in names):
        raise BadCatalogue(f"{path}: files is {files!r}, no name below the directory with {{pixel}} in it")


def _rows(path: Path, rows: Any, order: int) -> dict[int, int]:
    try:
        counts = {int(pixel): count for pixel, count in rows.items()}
    except (AttributeError, ValueError) as error:
        raise BadCatalogue(f"{path}: rows is no mapping of pixels to numbers") from error
    if any(type(n) is not int or n < 1 or not 0 <= pixel < 12 << (2 * order) for pixel, n in counts.items()):
        raise BadCatalogue(f"{path}: rows has a pixel or a number that cannot be")
    return counts


def shards_near(
    directory: Path, index: ShardIndex, centre: tuple[float, float], radius_deg: float
) -> list[tuple[Path, int]]:
    """Files of the pixels that a cone touches, in their order, with the number of stars that each should hold."""
    pixels = [pixel for pixel in _pixels(index, centre, radius_deg) if pixel in index.rows]
    return [(directory / index.path(pixel), index.rows[pixel]) for pixel in pixels]


def _pixels(index: ShardIndex, centre: tuple[float, float], radius_deg: float) -> list[int]:
    from astropy import units
    from astropy_healpix import HEALPix

    grid = HEALPix(1 << index.order, order="nested" if index.nested else "ring")
    radius = min(radius_deg + _MARGIN_DEG, 180.0)
    found = grid.cone_search_lonlat(centre[0] * units.deg, centre[1] * units.deg, radius * units.deg)
    return sorted(int(pixel) for pixel in found)
