"""`nightferry check`: is the data good?"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, one_line, progress
from services.cli.identify import files_argument, instruments_option, walk

if TYPE_CHECKING:
    from processors.checks.result import CheckResult
    from processors.fits import Frame

EXAMPLES = """\b
Examples:
  nightferry check night/*.fits
  nightferry check night/*.fits --json | jq 'select(.verdict != "ok")'
  nightferry check /data/20220127 --all
\b
Exit codes: 0 good (warnings included), 1 a check is in error, 2 usage or a wrong instrument file, 4 bad data."""


@click.command("check", epilog=EXAMPLES)
@files_argument
@instruments_option
@click.option("--all", "show_all", is_flag=True, help="Show what is good too, not only warnings and errors.")
@json_option
def check(files: tuple[Path, ...], instrument_dirs: tuple[Path, ...], show_all: bool, as_json: bool) -> int:
    """Measure each FILE and compare with the limits of its instrument.

    Completeness, header, exposure type, overscan, read noise, level, noise, saturation of every amplifier; read noise
    from pairs of biases and gain from pairs of flats when there are such among the FILEs. A directory stands for all
    FITS files below it.
    """
    from processors.instrument import load_instruments

    instruments = load_instruments(instrument_dirs)
    frames: list[Frame] = []
    results: list[CheckResult] = []
    failed: list[dict[str, Any]] = []
    for path in progress(walk(files), "checking"):
        results += _checked(path, instruments, frames, failed, as_json)
    results += _sequences(frames, failed, as_json)
    if as_json:
        for record in failed:
            emit(record)
    else:
        _show(results, len(frames), show_all)
        for record in failed:
            click.echo(f"{record['file']}: {record['error']}", err=True)
    if failed:
        return 4
    return 1 if any(result.verdict == "error" for result in results) else 0


def _checked(
    path: Path, instruments: Any, frames: list[Frame], failed: list[dict[str, Any]], as_json: bool
) -> Iterable[CheckResult]:
    from processors.check_frame import check_open_frame, open_frame
    from processors.errors import ProcessorError

    try:
        frame = open_frame(path, instruments)
        results = check_open_frame(frame)
    except (ProcessorError, OSError) as error:
        failed.append({"file": str(path), "error": one_line(error)})
        return ()
    frames.append(frame)
    return _told(results, as_json)


def _sequences(frames: list[Frame], failed: list[dict[str, Any]], as_json: bool) -> Iterable[CheckResult]:
    from processors.errors import ProcessorError

    if len(frames) < 2:
        return ()
    from processors.check_frame import check_sequence

    try:
        results = check_sequence(frames)
    except (ProcessorError, OSError) as error:
        failed.append({"file": str(frames[0].path), "error": f"its sequence: {one_line(error)}"})
        return ()
    return _told(results, as_json)


def _told(results: tuple[CheckResult, ...], as_json: bool) -> tuple[CheckResult, ...]:
    if as_json:
        for result in results:
            emit(asdict(result))
    return results


def _show(results: list[CheckResult], frames: int, show_all: bool) -> None:
    from collections import Counter

    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 400)
    colours = {"ok": "green", "warning": "yellow", "error": "red"}
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("file", "check", "detector", "value", "unit", "verdict", "flag", "limits", "message"):
        table.add_column(heading, justify="right" if heading == "value" else "left", overflow="fold")
    for result in results:
        if show_all or result.verdict != "ok":
            low, high = result.limits or (None, None)
            limits = "" if result.limits is None else f"{_number(low)} to {_number(high)}"
            where = f"{result.detector} {result.amplifier}".strip()
            cells = (Path(result.file).name, result.check, where, _number(result.value), result.unit)
            verdict = f"[{colours[result.verdict]}]{result.verdict}[/]"
            table.add_row(*map(escape, cells), verdict, *map(escape, (result.flag, limits, result.message)))
    if table.row_count:
        console.print(table)
    count = Counter(result.verdict for result in results)
    console.print(f"{frames} frames: {count['ok']} checks good, {count['warning']} warnings, {count['error']} errors")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
