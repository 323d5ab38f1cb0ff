"""What `nightferry check` tells a person: a table of results, and where each limit comes from."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.common import emit

if TYPE_CHECKING:
    from processors.checks.result import CheckResult
    from processors.fits import Frame


def show(results: Sequence[CheckResult], frames: int, show_all: bool) -> None:
    """A table of the results (all, or those that are not good), and their number."""
    from collections import Counter

    from rich.markup import escape

    console, table = _table(("file", "check", "detector", "value", "unit", "verdict", "flag", "limits", "message"))
    colours = {"ok": "green", "warning": "yellow", "error": "red"}
    for result in results:
        if show_all or result.verdict != "ok":
            where = f"{result.detector} {result.amplifier}".strip()
            cells = (Path(result.file).name, result.check, where, _number(result.value), result.unit)
            verdict = f"[{colours[result.verdict]}]{result.verdict}[/]"
            table.add_row(
                *map(escape, cells), verdict, *map(escape, (result.flag, _range(result.limits), result.message))
            )
    if table.row_count:
        console.print(table)
    count = Counter(result.verdict for result in results)
    console.print(f"{frames} frames: {count['ok']} checks good, {count['warning']} warnings, {count['error']} errors")


def explain(frames: Sequence[Frame], only: Collection[str], as_json: bool) -> None:
    """Say for every kind of frame what each check measures, its limits, and since when the instrument file has them."""
    records = list(_limits(frames, only))
    if as_json:
        for record in records:
            emit(record)
        return
    from rich.markup import escape

    console, table = _table(("instrument", "obstype", "check", "warning", "error", "from", "measures"))
    for record in records:
        source = f"{record['instrument']}.yaml, {record['from']}" if record["from"] else "no limits"
        cells = (record["instrument"], record["obstype"], record["explain"])
        ranges = (_range(record["warning"]), _range(record["error"]))
        table.add_row(*map(escape, (*cells, *ranges, source, record["about"])))
    console.print(table)


def _limits(frames: Sequence[Frame], only: Collection[str]) -> Iterator[dict[str, Any]]:
    from processors.checks.registry import every_check

    told = set()
    for frame in frames:
        identity = frame.identity
        for check in every_check():
            for name in check.names:
                limit = frame.instrument.limit(name, identity)
                since = "" if limit is None else limit.since.isoformat()
                key = (identity.instrument, identity.obstype, name, since)
                if key in told or (only and name not in only):
                    continue
                told.add(key)
                yield {
                    "explain": name,
                    "instrument": identity.instrument,
                    "obstype": identity.obstype,
                    "warning": None if limit is None else limit.warning,
                    "error": None if limit is None else limit.error,
                    "from": since,
                    "about": check.about,
                }


def _table(headings: Sequence[str]) -> tuple[Any, Any]:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, justify="right" if heading == "value" else "left", overflow="fold")
    return Console(width=None if sys.stdout.isatty() else 400), table


def _range(limits: tuple[float | None, float | None] | None) -> str:
    return "" if limits is None else f"{_number(limits[0])} to {_number(limits[1])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
