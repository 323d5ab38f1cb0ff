"""Tables of text with a map of their columns."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.housekeep_settings import CsvSource
from services.housekeeping.directory import Directory
from services.housekeeping.sources.base import Position
from services.housekeeping.sources.textfiles import TextFiles
from services.housekeeping.table import TableFormat
from services.housekeeping.times import time_parser


def make_csv(name: str, settings: CsvSource, positions: Mapping[str, Position]) -> TextFiles:
    """The source of the settings."""
    form = TableFormat(
        delimiter=settings.delimiter,
        time=settings.time,
        comment=settings.comment,
        header=settings.header,
        columns=settings.columns,
        ignore=settings.ignore,
        text=settings.text,
        units=settings.units,
    )
    clock = time_parser(settings.time_format, settings.time_zone)
    max_age_s = None if settings.max_age_days is None else settings.max_age_days * 86_400
    return TextFiles(
        name,
        Directory(settings.dir, settings.pattern),
        form,
        lambda _file, _now: clock,
        positions,
        settings.future_s,
        max_age_s,
    )
