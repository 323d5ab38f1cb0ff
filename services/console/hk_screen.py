"""Housekeeping as lines for a terminal."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from services.console.hk_view import HousekeepingView, ParameterLine
from services.console.layout import Column, cell, lay_out
from services.console.words import lasting, number, spark

Trend = Callable[[ParameterLine], Sequence[float]]
_SPARK: Final = 20
_STYLES: Final = {"error": "bold red", "warning": "yellow", "ok": "green"}
_COLUMNS: Final = (
    Column("parameter", least=12),
    Column("source", least=6, drop=3),
    Column("value", right=True, least=8),
    Column("unit", least=3, drop=2),
    Column("limits", drop=1),
    Column("last hour", drop=4),
    Column("age", right=True),
    Column("verdict", least=8),
)


def hk_lines(view: HousekeepingView, trend: Trend, width: int, height: int | None = None) -> list[Text]:
    """The parameters in lines of at most `width` cells; with a height those out of limits, then as many as fit."""
    head = [_title(view, width)]
    for trouble in view.troubles:
        line = cell(f"! {trouble}", "bold red")
        line.truncate(width, overflow="ellipsis")
        head.append(line)
    room = len(view.lines) if height is None else max(0, height - len(head) - 2)
    shown = view.lines[:room]
    if not shown:
        return [*head, cell("nothing is out of limits" if view.total else "no values yet", "green")]
    several = len({line.source for line in view.lines}) > 1
    keep = [index for index, column in enumerate(_COLUMNS) if several or column.title != "source"]
    rows = [_row(line, trend) for line in shown]
    table = lay_out([_COLUMNS[index] for index in keep], [[row[index] for index in keep] for row in rows], width)
    rest = len(view.lines) - len(shown)
    return [*head, *table, *([cell(f"… and {rest} more", "dim")] if rest else [])]


def _title(view: HousekeepingView, width: int) -> Text:
    clock = dt.datetime.fromtimestamp(view.now, dt.UTC)
    line = cell(f"{view.site}  {view.total} parameters  ", "bold")
    good = cell("all were within limits", "yellow") if view.troubles else cell("all within limits", "green")
    state = cell(f"{view.out} out of limits", "bold red") if view.out else good
    line.append_text(state if view.total else cell(""))
    line.append(f"  {clock:%H:%M:%S} UT", style="bold")
    line.truncate(width, overflow="ellipsis")
    return line


def _row(line: ParameterLine, trend: Trend) -> list[Text]:
    style = _STYLES["error" if line.verdict == "error" else "warning"] if line.bad else _STYLES.get(line.verdict, "")
    stale = "stale" in line.conditions
    value = line.text if line.text is not None else ("nan" if line.value is None else number(line.value, 5))
    verdict = " ".join([line.verdict, *line.conditions])
    simple = not (sys.stdout.encoding or "").lower().startswith("utf")
    return [
        cell(line.parameter),
        cell(line.source),
        cell(value, style),
        cell(line.unit or "-"),
        cell(limits_of(line.limits), "dim"),
        cell(spark(trend(line), _SPARK, ascii_only=simple) or "-", style if line.bad else ""),
        cell(lasting(line.age_s), "bold red" if stale else "dim"),
        cell("-" if verdict == "unknown" else verdict, style),
    ]


def limits_of(limits: dict[str, float | None]) -> str:
    """The narrowest band that is in force, `low…high`; an open end is left out."""
    for kind in ("warning", "error"):
        low, high = limits.get(f"{kind}_low"), limits.get(f"{kind}_high")
        if low is not None or high is not None:
            return f"{'' if low is None else f'{low:.5g}'}…{'' if high is None else f'{high:.5g}'}"
    return "-"
