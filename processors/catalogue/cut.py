"""Cut a large reference catalogue into a directory of HEALPix files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.catalogue.columns import CatalogueColumns, guess_columns
from processors.catalogue.files import Table, column_names, read_table
from processors.catalogue.shards import INDEX
from processors.errors import BadCatalogue

_FILES = "{pixel:05d}.fits"


def cut_catalogue(
    files: Sequence[Path], directory: Path, order: int = 5, columns: CatalogueColumns | None = None
) -> dict[int, int]:
    """Write the stars of some files (the same columns in each) into one file per HEALPix pixel, and the index last.

    One input file is in memory at a time. Order 5 has 12,288 pixels of 1.8 degrees on a side. Returns the number of
    stars by pixel.

    Raises
    ------
    BadCatalogue
        An input cannot be read, or the directory is there already.
    OSError
        Disk full, no permission, …
    """
    if not 0 <= order <= 12:
        raise BadCatalogue(f"order {order} is not within 0 to 12")
    if not files:
        raise BadCatalogue("no files to cut")
    columns = columns or guess_columns(column_names(files[0]), files[0])
    if directory.exists():
        raise BadCatalogue(f"{directory} is there already")
    directory.mkdir(parents=True)
    rows: dict[int, int] = {}
    for path in files:
        for pixel, stars in _by_pixel(read_table(path, columns), order):
            _append(directory / _FILES.format(pixel=pixel), stars)
            rows[pixel] = rows.get(pixel, 0) + len(stars)
    document = {
        "format": "nightferry-healpix",
        "version": 1,
        "order": order,
        "nested": True,
        "files": _FILES,
        "columns": _names(columns),
        "rows": {str(pixel): rows[pixel] for pixel in sorted(rows)},
    }
    temporary = directory / f".{INDEX}.part"
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(directory / INDEX)  # a directory without it is no catalogue
    return rows


def _names(columns: CatalogueColumns) -> Mapping[str, Any]:
    names: dict[str, Any] = {"ra": "ra", "dec": "dec"}
    names |= {band: f"mag_{band}" for band in columns.magnitudes}
    names |= {f"e_{band}": f"err_{band}" for band in columns.errors}
    if columns.pm_ra is not None and columns.pm_dec is not None:
        names |= {"pm_ra": "pm_ra", "pm_dec": "pm_dec"}
    return names if columns.epoch is None else names | {"epoch": "epoch"}


def _by_pixel(table: Table, order: int) -> Iterator[tuple[int, NDArray[Any]]]:
    from astropy import units
    from astropy_healpix import lonlat_to_healpix

    stars = _rows(table)
    pixels = np.asarray(
        lonlat_to_healpix(table.ra * units.deg, table.dec * units.deg, 1 << order, order="nested"), dtype=np.int64
    )
    ordered = np.argsort(pixels, kind="stable")
    numbers, starts = np.unique(pixels[ordered], return_index=True)
    for number, group in zip(numbers, np.split(ordered, starts[1:]), strict=True):
        yield int(number), stars[group]


def _rows(table: Table) -> NDArray[Any]:
    data: dict[str, NDArray[np.float64] | None] = {"ra": table.ra, "dec": table.dec}
    data |= {f"mag_{band}": values for band, values in table.magnitudes.items()}
    data |= {f"err_{band}": values for band, values in table.errors.items()}
    data |= {"pm_ra": table.pm_ra, "pm_dec": table.pm_dec, "epoch": table.epoch}
    known = {name: values for name, values in data.items() if values is not None}
    rows = np.empty(len(table.ra), [(name, "f8" if name in {"ra", "dec", "epoch"} else "f4") for name in known])
    for name, values in known.items():
        rows[name] = values
    return rows


def _append(path: Path, stars: NDArray[Any]) -> None:
    import fitsio

    with fitsio.FITS(str(path), "rw") as file:
        if len(file) < 2:
            file.write(stars, extname="STARS")
        else:
            file[1].append(stars)
