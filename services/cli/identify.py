"""`nightferry identify`: what each frame is, from its header."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, one_line, progress

if TYPE_CHECKING:
    from processors.identity import FrameIdentity
    from processors.instrument import Instruments

files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
instruments_option = click.option(
    "--instruments",
    "instrument_dirs",
    metavar="DIR",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory with instrument files of the site; may be given several times.",
)

EXAMPLES = """\b
Examples:
  nightferry identify night/*.fits
  nightferry identify /data/20220127 --json | jq -r '[.night, .expid, .obstype] | @tsv'
  nightferry identify odd.fits --instruments /etc/nightferry/instruments
\b
Exit codes: 0 good, 2 usage or a wrong instrument file, 4 a file that is no frame of a known instrument."""


@click.command("identify", epilog=EXAMPLES)
@files_argument
@instruments_option
@json_option
def identify(files: tuple[Path, ...], instrument_dirs: tuple[Path, ...], as_json: bool) -> int:
    """Say what each FILE is: instrument, night, exposure, detectors, obstype, time.

    A directory stands for all FITS files below it. A file that cannot be identified is one line with its reason, and
    the others are still looked at.
    """
    from processors.instrument import load_instruments

    instruments = load_instruments(instrument_dirs)
    records = [record_of(path, instruments) for path in progress(walk(files), "identifying")]
    if as_json:
        for record in records:
            emit(record)
    else:
        _show(records)
    return 4 if any("error" in record for record in records) else 0


def walk(files: tuple[Path, ...]) -> list[Path]:
    """The files themselves, and what looks like FITS below the directories among them, sorted, each once.

    Nothing at all is a usage error: a disk that is not mounted must not look like a good night.
    """
    found: dict[Path, None] = {}
    for path in files:
        below = (
            (p for p in sorted(path.rglob("*")) if p.is_file() and _looks_like_fits(p)) if path.is_dir() else (path,)
        )
        found.update(dict.fromkeys(below))
    if not found:
        raise click.UsageError(f"no FITS files below {', '.join(map(str, files))}")
    return list(found)


def record_of(path: Path, instruments: Instruments) -> dict[str, Any]:
    """JSON record of one file's identity, or of why it has none."""
    from processors.errors import ProcessorError
    from processors.header import read_headers

    try:
        return identity_record(path, instruments.identify(read_headers(path), path.name))
    except (ProcessorError, OSError) as error:
        return {"file": str(path), "error": one_line(error)}


def identity_record(path: Path, identity: FrameIdentity) -> dict[str, Any]:
    """JSON record of an identity."""
    from dataclasses import asdict

    return {"file": str(path), **asdict(identity)}


def _looks_like_fits(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz").removesuffix(".fz")
    return name.endswith((".fits", ".fit", ".fts")) and not name.startswith(".")


def _show(records: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # A table that is piped keeps its columns: no reader of it has a width.
    console = Console(width=None if sys.stdout.isatty() else 400)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("file", "instrument", "night", "expid", "detectors", "obstype", "exptime s", "filter", "object"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "night")
    for record in records:
        if "error" not in record:
            table.add_row(*[_cell(record, heading) for heading in (column.header for column in table.columns)])
    if table.row_count:
        console.print(table)
    for record in records:
        if "error" in record:
            click.echo(f"{record['file']}: {record['error']}", err=True)


def _cell(record: dict[str, Any], heading: object) -> str:
    from rich.markup import escape

    if heading == "file":
        return escape(Path(record["file"]).name)
    if heading == "detectors":
        names = record["detectors"]
        return escape(", ".join(names) if len(names) <= 4 else f"{len(names)} of {record['expected_detectors']}")
    if heading == "exptime s":
        return f"{record['exptime_s']:g}"
    return escape(str(record[str(heading)]))
