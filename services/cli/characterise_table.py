"""A characterisation as a table for people."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from processors.characterise.result import Characterisation, Quantity

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}
_MOST_ROWS = 12  # of a table of numbers; `--json` has all


def show(result: Characterisation, explained: bool) -> None:
    """Print quantities, tables, messages, flags and, if wanted, what each frame was used as."""
    console = Console(width=None if sys.stdout.isatty() else 400)
    words = (result.kind, result.instrument, f"detector {result.detector}", result.group)
    console.print(f"[bold]{escape('  '.join(word for word in words if word))}[/]")
    if result.quantities:
        console.print(_quantities(result.quantities))
    for table in result.tables:
        made = Table(box=box.SIMPLE_HEAD, title=escape(f"{table.name} {table.amplifier}".strip()), title_justify="left")
        for column in table.columns:
            made.add_column(escape(column), justify="right")
        for row in table.rows[:_MOST_ROWS]:
            made.add_row(*(f"{value:.6g}" for value in row))
        if table.rows:
            console.print(made)
        if len(table.rows) > _MOST_ROWS:
            console.print(f"{len(table.rows) - _MOST_ROWS} more rows with --json")
    for message in result.messages:
        console.print(escape(message))
    if explained:
        for use in result.frames:
            what = f"used as {use.role}" if use.role else f"left out: {use.reason}"
            console.print(escape(f"{Path(use.file).name}  {what}"))
    console.print(f"[red]flags: {' '.join(result.flags)}[/]" if result.flags else "[green]no flags[/]")


def _quantities(quantities: tuple[Quantity, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("quantity", "amplifier", "value", "error", "unit", "from", "verdict", "flag", "limits", "message"):
        numeric = heading in {"value", "error", "from"}
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for quantity in quantities:
        low, high = quantity.limits or (None, None)
        limits = "" if quantity.limits is None else f"{_number(low)} to {_number(high)}"
        table.add_row(
            escape(quantity.name),
            escape(quantity.amplifier),
            _value(quantity.value, quantity.error),
            _number(quantity.error, 2),
            escape(quantity.unit),
            str(quantity.number),
            f"[{_COLOURS[quantity.verdict]}]{quantity.verdict}[/]",
            escape(quantity.flag),
            limits,
            escape(quantity.message),
        )
    return table


def _value(value: float, error: float) -> str:
    """With the digits that its error leaves."""
    if not math.isfinite(value) or not (math.isfinite(error) and error > 0) or value == 0:
        return _number(value)
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 2
    return _number(value, min(max(digits, 2), 7))


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"
