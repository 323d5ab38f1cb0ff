"""What `limits check` and `limits replay` share: recorded data given on the command line, by source."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import progress, say

if TYPE_CHECKING:
    from services.core.housekeep_settings import FileSource
    from services.housekeeping.limits.book import LimitBook
    from services.housekeeping.samples import Samples
    from services.housekeeping.sources.base import BadRow

file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
config_option = click.option(
    "-c", "--config", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Settings that say how each source is read (default: guessed from the files).",
)  # fmt: skip


class Moment(click.ParamType):
    """A date or a time; nanoseconds since 1970 UTC."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As `from` in the limits file."""
        from services.housekeeping.limits.settings import date_ns

        try:
            return value if isinstance(value, int) else date_ns(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass
class Recorded:
    """Rows of all sources, and those that could not be used."""

    samples: list[Samples] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def say_bad(self) -> None:
        """Name the first of the rows that were set aside."""
        for row in self.bad[:3]:
            where = f"{row.origin}:{row.line}" if row.line else row.origin
            say(f"{where}: set aside: {row.reason}")
        if len(self.bad) > 3:
            say(f"{len(self.bad) - 3} more rows set aside")


def read_all(book: LimitBook, data: Sequence[str], config: Path | None, now_ns: int) -> Recorded:
    """Read `[SOURCE=]PATH` of the command line.

    Raises
    ------
    click.UsageError
        It cannot be said which source a path belongs to, or there is no such file.
    NotRecorded
        A file holds nothing that can be read.
    """
    from services.housekeeping.limits.recorded import read_recorded

    known = _sources(config)
    recorded = Recorded()
    for text in progress(data, "reading"):
        name, path = _place(book, text)
        recorded.samples += read_recorded(name, path, known.get(name), now_ns, recorded.bad)
    return recorded


def _place(book: LimitBook, text: str) -> tuple[str, Path]:
    if Path(text).exists():
        if len(book.sources) != 1:
            raise click.UsageError(f"{text}: of which source? say SOURCE={text}; known: {', '.join(book.sources)}")
        return next(iter(book.sources)), Path(text)
    name, equals, path = text.partition("=")
    if not equals or not Path(path).exists():
        raise click.UsageError(f"{path or text}: no such file or directory")
    if book.source(name) is None:
        raise click.UsageError(f"{text}: the limits know no source {name!r}; known: {', '.join(book.sources)}")
    return name, Path(path)


def _sources(config: Path | None) -> dict[str, FileSource]:
    if config is None:
        return {}
    from services.core.housekeep_settings import FileSource
    from services.core.settings import load_settings

    settings = load_settings(config).housekeep
    sources = settings.sources.items() if settings is not None else ()
    return {name: source for name, source in sources if isinstance(source, FileSource)}


def moment(time_ns: int) -> str:
    """A time as it is shown: UTC, to the second."""
    return dt.datetime.fromtimestamp(time_ns / 1e9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def printer(columns: Sequence[str]) -> tuple[Callable[..., None], Callable[[], None]]:
    """(add a row, print) of a table on standard output, wide enough when it is no terminal."""
    import sys

    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return (
        lambda *cells: table.add_row(*map(escape, cells)),
        lambda: console.print(table) if table.row_count else None,
    )
