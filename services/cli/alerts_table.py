"""Alerts for people: a table that fits an ssh line, and the history of one."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.common import plural

_STYLES: Final = {"raised": "red", "flapping": "magenta", "acknowledged": "yellow", "muted": "dim", "resolved": "green"}
_WIDE: Final = 120  # columns of a terminal in which the names and words of alerts stand side by side, unbroken


def print_list(rows: Sequence[Mapping[str, Any]], mutes: Sequence[Mapping[str, Any]], now: float) -> None:
    """The table of alerts, and the mutes in force below it."""
    console = _console()
    if not rows:
        console.print("no alert is open")
    elif console.width < _WIDE:
        _print_blocks(console, rows, now)
    else:
        table = Table("sev", "state", "since", "alert", "message", "told", box=SIMPLE, padding=(0, 1), pad_edge=False)
        table.columns[3].overflow = table.columns[4].overflow = "fold"
        for row in rows:
            table.add_row(*(Text(cell) for cell in _cells(row, now)), style=_STYLES[row["state"]])
        console.print(table)
    for mute in mutes:
        words = f"muted: {mute['pattern']} until {_short(mute['until'])} by {mute['by']}: {mute['reason']}"
        console.print(Text(words, style="dim"))


def _print_blocks(console: Console, rows: Sequence[Mapping[str, Any]], now: float) -> None:
    """Name, state and words below each other, so that a name can be copied as a whole."""
    for row in rows:
        severity, state, since, name, message, told = _cells(row, now)
        style = _STYLES[row["state"]]
        console.print(Text(name, style=style, overflow="fold"))
        said = Text(f"{message}\nseverity {severity}, {state}; since {since}; told: {told}")
        console.print(Padding(said, (0, 0, 0, 4)))


def print_one(row: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> None:
    """One alert with everything that happened to it."""
    console = _console()
    console.print(Text(f"{row['alert']}: {row['state']}, severity {row['severity']}", style=_STYLES[row["state"]]))
    console.print(Text(row["message"]))
    if row["value"] is not None:
        limit = f" (limit {row['limit']})" if row["limit"] is not None else ""
        console.print(Text(f"value {row['value']}{limit} {row['unit'] or ''}".rstrip()))
    print_steps(steps)


def print_steps(steps: Sequence[Mapping[str, Any]]) -> None:
    """Steps in order of time."""
    console = _console()
    if not steps:
        console.print("nothing happened")
        return
    narrow = console.width < _WIDE
    with_alert = not narrow and any("alert" in step for step in steps)
    table = Table(
        "time (UTC)", *(["alert"] if with_alert else []), "step", "", box=SIMPLE, padding=(0, 1), pad_edge=False
    )
    for step in steps:
        name = [Text(step.get("alert", ""))] if with_alert else []
        words = "\n".join(filter(None, [step.get("alert", "") if narrow else "", step["text"]]))
        table.add_row(Text(_short(step["at"])), *name, Text(step["step"]), Text(words, overflow="fold"))
    console.print(table)
    console.print(plural(len(steps), "step"), style="dim")


def _cells(row: Mapping[str, Any], now: float) -> list[str]:
    state = row["state"]
    if row["acknowledged_by"]:
        state += f" by {row['acknowledged_by']}"
    if row["muted_until"]:
        state += f" until {_short(row['muted_until'])}"
    if not row["open"] and row["resolved_at"]:
        state += f" {_short(row['resolved_at'])}"
    age = now - dt.datetime.fromisoformat(row["raised_at"]).timestamp()
    since = f"{_short(row['raised_at'])} ({_age(age)})" if row["open"] else _short(row["raised_at"])
    return [str(row["severity"]), state, since, row["alert"], row["message"], ", ".join(row["told"]) or "nobody yet"]


def _age(seconds: float) -> str:
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d}" if minutes < 2880 else f"{minutes // 1440} d"


def _short(iso: str) -> str:
    return iso[:19].replace("T", " ").removesuffix(":00") if iso else ""


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
