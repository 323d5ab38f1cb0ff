"""`nightferry reduce`: masters and reduced frames without any daemon."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import emit, json_option, progress, say
from services.cli.identify import files_argument, instruments_option, walk

EXAMPLES = """\b
Examples:
  nightferry reduce night/*.fits -o products
  nightferry reduce /data/20220126 /data/20220127 -o products --json | jq -r .product
  nightferry reduce more/*.fits products/master_*.fits -o products
\b
Exit codes: 0 good, 2 usage or a wrong instrument file, 4 a file that could not be used (the others are reduced)."""


@click.command("reduce", epilog=EXAMPLES)
@files_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where products go; made when missing.",
)
@instruments_option
@click.option("--max-age", "max_age_days", default=30.0, show_default=True, help="Oldest calibration to use, days.")
@click.option("--no-preview", is_flag=True, help="Draw no PNG previews.")
@json_option
def reduce(
    files: tuple[Path, ...],
    output: Path,
    instrument_dirs: tuple[Path, ...],
    max_age_days: float,
    no_preview: bool,
    as_json: bool,
) -> int:
    """Make masters of the calibration frames among FILEs, and reduce the science and standard frames with them.

    Masters from an earlier run may be among the FILEs. A frame without a suitable calibration is reduced without that
    step and flagged NOBIAS or NOFLAT. A directory stands for all FITS files below it.
    """
    from processors.instrument import load_instruments
    from services.cli.reduction import Failure, Reduction

    output.mkdir(parents=True, exist_ok=True)
    run = Reduction(load_instruments(instrument_dirs), output, max_age_days, not no_preview)
    made = failed = 0
    steps = run.steps(walk(files))
    for result in progress(steps, "reducing"):
        if isinstance(result, Failure):
            failed += 1
            if as_json:
                emit({"file": result.file, "error": result.error})
            else:
                say(f"{result.file}: {result.error}")
            continue
        made += 1
        if as_json:
            emit(result.record())
        else:
            click.echo(result.line())
    if not as_json:
        say(f"{made} products in {output}, {failed} files could not be used")
    return 4 if failed else 0
