"""Run a verb of `nightferry wcs` over files, and show what came out."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from services.cli.common import emit, progress, say

_FORMS: Final = {"ra_deg": ".5f", "dec_deg": ".5f", "scale_arcsec": ".5g"}


def run(
    work: Callable[..., list[dict[str, Any]]], paths: list[Path], arguments: tuple[Any, ...], jobs: int, as_json: bool,
    columns: tuple[str, ...], explained: bool = False,
) -> int:  # fmt: skip
    """Do the work, file by file; the exit code is that of the worst. Reasons are told where they are `explained`."""
    records: list[dict[str, Any]] = []
    left_out = () if explained else ("explain",)
    for made in progress(_each(work, paths, arguments, jobs), "solving", len(paths)):
        found = [{key: value for key, value in record.items() if key not in left_out} for record in made]
        records += found
        if as_json:
            for record in found:
                emit(record)
    if not as_json:
        _show(records, columns)
        for record in records:
            for line in record.get("explain", ()):
                click.echo(f"{Path(record['file']).name} {record['extname']}: {line}".replace(" :", ":"))
    codes = {int(record["exit_code"]) for record in records if "exit_code" in record}
    if any(record.get("verdict") == "error" for record in records):
        codes.add(1)
    return max(codes, default=0)


def _each(
    work: Callable[..., list[dict[str, Any]]], paths: list[Path], arguments: tuple[Any, ...], jobs: int
) -> Iterator[list[dict[str, Any]]]:
    if jobs == 1 or len(paths) == 1:
        for path in paths:
            yield work(path, *arguments)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(min(jobs, len(paths)), multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(work, path, *arguments) for path in paths]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _show(records: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 400)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("file", "hdu", *columns):
        table.add_column(heading.replace("_", " "), justify="left" if heading == "file" else "right", overflow="fold")
    for record in records:
        if "error" not in record:
            values = (_cell(name, record.get(name)) for name in ("hdu", *columns))
            table.add_row(escape(Path(record["file"]).name), *map(escape, values))
    if table.row_count:
        console.print(table)
    for record in records:
        reason = record.get("error") or record.get("message")
        if reason:
            hdu = f" HDU {record['hdu']}" if "hdu" in record and not str(reason).startswith("HDU") else ""
            say(f"{record['file']}{hdu}: {reason}")


def _cell(name: str, value: Any) -> str:
    if value is None or (name == "order" and value < 0) or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:{_FORMS.get(name, '.3g')}}"
