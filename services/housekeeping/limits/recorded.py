"""Housekeeping that was recorded before, read as the sources read it."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.core.errors import ServiceError
from services.core.housekeep_settings import CsvSource, FileSource, FitsSource, VisonSource
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import BadRow
from services.housekeeping.sources.registry import make_source

_TIMES: Final = ("time", "datetime", "timestamp", "date_time", "date", "utc", "mjd", "unix", "unixtime")
_FITS: Final = (".fits", ".fit", ".fts")


class NotRecorded(ServiceError):
    """A file of which nothing can be read as housekeeping."""

    exit_code = 4


def read_recorded(
    name: str, path: Path, settings: FileSource | None, now_ns: int, bad: list[BadRow]
) -> Iterator[Samples]:
    """Every row of a file, or of the files of a directory, as source `name`.

    Parameters
    ----------
    settings : FileSource or None
        How the source is read; None: guessed from the file's name and its first lines.
    now_ns : int
        Our clock.
    bad : list of BadRow
        Takes up the rows that cannot be used.

    Raises
    ------
    NotRecorded
        Not one row can be read.
    """
    rows = 0
    reason = "no rows"
    for one in _files(path, settings):
        given = settings if settings is not None else _guessed(one)
        place = {"dir": one.resolve().parent, "pattern": glob.escape(one.name), "max_age_days": None}
        source = make_source(name, given.model_copy(update=place), {}, lambda: None)  # type: ignore[arg-type]
        try:
            more = True
            while more:
                batch = source.poll(now_ns)
                more = batch.more
                bad.extend(batch.bad)
                reason = batch.bad[0].reason if batch.bad else reason
                for samples in batch.samples:
                    rows += len(samples)
                    yield samples
                source.committed()
        finally:
            source.close()
    if not rows:
        raise NotRecorded(f"{path}: {reason}")


def _files(path: Path, settings: FileSource | None) -> list[Path]:
    """The files of a directory that the source would read, oldest first; of guessed ones those of one kind.

    A directory of `HK_*_ROE1.txt` holds an exposure log too, which is no housekeeping.
    """
    if not path.is_dir():
        return [path]
    patterns = [settings.pattern] if settings is not None else ["*.txt", "*.csv", "*.fits"]
    files = [file for pattern in patterns for file in path.glob(pattern) if file.is_file()]
    if not files:
        raise NotRecorded(f"{path}: holds no {' or '.join(patterns)}")
    if settings is None:
        files = [file for file in files if file.suffix == ".txt" and _is_vison(_first_lines(file))] or files
    return sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name))


def _guessed(path: Path) -> FileSource:
    where = path.resolve().parent
    if path.name.casefold().endswith(_FITS):
        return FitsSource(kind="fits", dir=where)
    lines = _first_lines(path)
    if _is_vison(lines):
        return VisonSource(kind="vison", dir=where)
    delimiter = max((";", "\t", ","), key=lines[0].count)
    columns = [column.strip() for column in lines[0].lstrip("\ufeff#").split(delimiter)]
    time = next((column for column in columns if column.casefold() in _TIMES), columns[0])
    first = dict(zip(columns, lines[1].split(delimiter), strict=False)).get(time, "")
    return CsvSource(kind="csv", dir=where, delimiter=delimiter, time=(time,), time_format=_format_of(time, first))


def _first_lines(path: Path) -> list[str]:
    with path.open("r", encoding="utf-8", errors="replace") as file:
        return [file.readline(1 << 16).rstrip("\r\n") for _ in range(2)]


def _is_vison(lines: list[str]) -> bool:
    return lines[0].startswith("HK_timestamp")


def _format_of(column: str, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return "iso"
    if column.casefold() == "mjd" or number < 1e6:
        return "mjd"
    return next(
        (unit for unit, most in (("unix_s", 1e11), ("unix_ms", 1e14), ("unix_us", 1e17)) if number < most), "unix_ns"
    )
