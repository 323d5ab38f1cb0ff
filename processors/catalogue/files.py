"""One file of a reference catalogue: a FITS table or CSV."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.catalogue.columns import CatalogueColumns
from processors.errors import BadCatalogue

Array = NDArray[np.float64]
_MISSING = frozenset({"", "null", "nan", "none", "--"})


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of a catalogue: positions in degrees, magnitudes, proper motions in mas/yr, epochs in Julian years."""

    ra: Array
    dec: Array
    magnitudes: Mapping[str, Array]
    errors: Mapping[str, Array]
    pm_ra: Array | None
    pm_dec: Array | None
    epoch: Array | None

    @classmethod
    def of(cls, data: Mapping[str, Array], columns: CatalogueColumns) -> Table:
        """From columns by name."""
        epoch: Array | None = None
        if isinstance(columns.epoch, str):
            epoch = data[columns.epoch]
        elif columns.epoch is not None:
            epoch = np.full(len(data[columns.ra]), columns.epoch)
        motions = columns.pm_ra is not None and columns.pm_dec is not None
        return cls(
            data[columns.ra],
            data[columns.dec],
            {band: data[name] for band, name in columns.magnitudes.items()},
            {band: data[name] for band, name in columns.errors.items()},
            data[str(columns.pm_ra)] if motions else None,
            data[str(columns.pm_dec)] if motions else None,
            epoch,
        )

    @classmethod
    def join(cls, tables: Sequence[Table], columns: CatalogueColumns) -> Table:
        """One after the other; none at all is an empty table."""
        if not tables:
            return cls.of({name: np.empty(0) for name in columns.names()}, columns)

        def all_of(parts: Sequence[Array | None]) -> Array | None:
            known = [part for part in parts if part is not None]
            return np.concatenate(known) if known else None

        return cls(
            np.concatenate([t.ra for t in tables]),
            np.concatenate([t.dec for t in tables]),
            {band: np.concatenate([t.magnitudes[band] for t in tables]) for band in columns.magnitudes},
            {band: np.concatenate([t.errors[band] for t in tables]) for band in columns.errors},
            all_of([t.pm_ra for t in tables]),
            all_of([t.pm_dec for t in tables]),
            all_of([t.epoch for t in tables]),
        )


def read_table(path: Path, columns: CatalogueColumns) -> Table:
    """Read the named columns of a FITS table or CSV file.

    Raises
    ------
    BadCatalogue
        Missing file or column, broken file, or a position or epoch that is none.
    """
    data = _read_fits(path, columns) if _is_fits(path) else _read_csv(path, columns)
    for name, limit in ((columns.ra, (-180.0, 360.0)), (columns.dec, (-90.0, 90.0))):
        bad = np.flatnonzero(~((data[name] >= limit[0]) & (data[name] <= limit[1])))
        if bad.size:
            raise BadCatalogue(f"{path}: {name} is {data[name][bad[0]]} in row {bad[0] + 1}, {bad.size} such rows")
    if isinstance(columns.epoch, str) and not np.isfinite(data[columns.epoch]).all():
        raise BadCatalogue(f"{path}: {columns.epoch} is not given in every row")
    return Table.of(data, columns)


def column_names(path: Path) -> tuple[str, ...]:
    """Names of a file's columns (BadCatalogue)."""
    if _is_fits(path):
        with _fits_table(path) as table:
            return tuple(table.get_colnames())
    with _csv_rows(path) as (names, _):
        return tuple(names)


def _is_fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(9)
            if start[:2] == b"\x1f\x8b":
                file.seek(0)
                with gzip.open(file) as plain:
                    start = plain.read(9)
    except OSError as error:
        raise BadCatalogue(f"{path}: {error.strerror or error}") from error
    except EOFError as error:
        raise BadCatalogue(f"{path}: broken gzip stream") from error
    if not start:
        raise BadCatalogue(f"{path}: empty file")
    return start == b"SIMPLE  ="


@contextmanager
def _fits_table(path: Path) -> Iterator[Any]:
    import fitsio

    # through its descriptor, as cfitsio takes brackets, colons and the like in a name for instructions
    try:
        with path.open("rb") as file, fitsio.FITS(f"/proc/self/fd/{file.fileno()}") as hdus:
            table = next((hdu for hdu in hdus if hdu.get_exttype() in {"BINARY_TBL", "ASCII_TBL"}), None)
            if table is None:
                raise BadCatalogue(f"{path}: no table in it")
            yield table
    except (OSError, ValueError) as error:
        raise BadCatalogue(f"{path}: {' '.join(str(error).split())[:200]}") from error


def _read_fits(path: Path, columns: CatalogueColumns) -> dict[str, Array]:
    data: dict[str, Array] = {}
    with _fits_table(path) as table:
        _refuse_missing(path, columns, table.get_colnames())
        rows = table.read(columns=list(columns.names()))
        for name in columns.names():
            if rows[name].ndim != 1 or rows[name].dtype.kind not in "fiu":
                raise BadCatalogue(f"{path}: column {name} holds no numbers")
            data[name] = np.ascontiguousarray(rows[name], dtype=np.float64)
    return data


@contextmanager
def _csv_rows(path: Path) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """Names of the columns and the rows below; lines that begin with # are comments."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            raw: Any = gzip.GzipFile(fileobj=file) if packed else file
            with io.TextIOWrapper(raw, "utf-8", newline="") as text:
                rows = csv.reader((line for line in text if not line.startswith("#")), strict=True)
                names = [name.strip() for name in next(rows, [])]
                if len(names) < 2:
                    raise BadCatalogue(f"{path}: neither FITS nor CSV with named columns")
                yield names, rows
    except OSError as error:
        raise BadCatalogue(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise BadCatalogue(f"{path}: neither FITS nor CSV: {error}") from error


def _read_csv(path: Path, columns: CatalogueColumns) -> dict[str, Array]:
    with _csv_rows(path) as (names, rows):
        _refuse_missing(path, columns, names)
        places = [names.index(name) for name in columns.names()]
        values: list[list[float]] = []
        for number, row in enumerate(rows, start=1):
            if not row:
                continue
            if len(row) != len(names):
                raise BadCatalogue(f"{path}: row {number} has {len(row)} fields, {len(names)} are named")
            values.append([_number(row[place], path, number) for place in places])
    array = np.array(values, dtype=np.float64).reshape(-1, len(places))
    return {name: np.ascontiguousarray(array[:, k]) for k, name in enumerate(columns.names())}


def _number(text: str, path: Path, row: int) -> float:
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in _MISSING:
            return float("nan")
        raise BadCatalogue(f"{path}: {text!r} in row {row} is no number") from None


def _refuse_missing(path: Path, columns: CatalogueColumns, names: Sequence[str]) -> None:
    if missing := [name for name in columns.names() if name not in names]:
        raise BadCatalogue(f"{path}: no column {', '.join(missing)} among {', '.join(names)}")
