"""`nightferry reduce`: masters and reduced frames without any daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.catalogue import catalogue_options, reference_of
from services.cli.common import emit, json_option, max_age_option, output_option, plural, progress, say, tell
from services.cli.identify import files_argument, instruments_option, walk

if TYPE_CHECKING:
    from services.cli.reduction import Result
    from services.cli.reduction_record import Failure

EXAMPLES = """\b
Examples:
  nightferry reduce night/*.fits -o products
  nightferry reduce /data/20220126 /data/20220127 -o products --json | jq -r .product
  nightferry reduce more/*.fits products/master_*.fits -o products -j 2 --explain
  nightferry reduce night/*.fits -o products --catalogue /data/gaia --band R=rp
\b
Exit codes: 0 good, 2 usage or a wrong instrument file, 4 a file that could not be used (the others are reduced)."""


@click.command("reduce", epilog=EXAMPLES)
@files_argument
@output_option("products")
@instruments_option
@max_age_option
@click.option("--no-preview", is_flag=True, help="Draw no PNG previews.")
@click.option("--no-cosmics", is_flag=True, help="Do not look for cosmic rays.")
@click.option("--no-quality", is_flag=True, help="Do not measure seeing and sky.")
@catalogue_options(required=False)
@click.option(
    "--band",
    "bands",
    multiple=True,
    metavar="FILTER=BAND",
    help="Band of the catalogue for a filter, where its name is another; may be given several times.",
)
@click.option(
    "--gains",
    "gains_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Measured gains, for masters too, in place of the headers': what `characterise ptc --json` printed.",
)
@click.option(
    "-j", "--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Detectors or frames at once."
)
@click.option(
    "--explain", "explained", is_flag=True, help="Say which calibrations were chosen and why, and what was not used."
)
@json_option
def reduce(
    files: tuple[Path, ...],
    output: Path,
    instrument_dirs: tuple[Path, ...],
    max_age_days: float,
    no_preview: bool,
    no_cosmics: bool,
    no_quality: bool,
    catalogue: Path | None,
    columns: str | None,
    no_motion: bool,
    bands: tuple[str, ...],
    gains_file: Path | None,
    jobs: int,
    explained: bool,
    as_json: bool,
) -> int:
    """Make masters of the calibration frames among FILEs, and reduce the science and standard frames with them.

    Masters of any kind from an earlier run, or of `build-master`, may be among the FILEs. A frame without a suitable
    calibration is reduced without that step and flagged NOBIAS or NOFLAT. On images, cosmic rays go into the mask, and
    seeing and sky into header and output; with a catalogue also the place on the sky, zero point and limiting
    magnitude. Long-slit frames become spectra, with the nearest arc among the FILEs. A directory stands for all FITS
    files below it.
    """
    from processors.instrument import load_instruments
    from processors.reduction.inspect import Steps
    from services.cli.gains import read_gains
    from services.cli.reduction import Options, Reduction
    from services.cli.reduction_record import Failure

    reference = reference_of(catalogue, columns, no_motion, bands)
    instruments = load_instruments(instrument_dirs)
    output.mkdir(parents=True, exist_ok=True)
    steps = Steps(cosmics=not no_cosmics, quality=not no_quality)
    gains = {} if gains_file is None else read_gains(gains_file)
    run = Reduction(instruments, Options(output, max_age_days, not no_preview, steps, reference, jobs, gains))
    found = walk(files)
    failures: list[Failure] = []
    for failure in run.open(progress(found, "opening")):
        failures.append(failure)
        _tell(failure, explained, as_json)
    passed = run.passed_over()
    if not run.total and not failures:
        failures.append(Failure(", ".join(map(str, files)), "no frames to reduce or to make masters of among these"))
        _tell(failures[-1], explained, as_json)
    made = 0
    for result in progress(run.steps(), "reducing", run.total):
        _tell(result, explained, as_json, reference is not None)
        if isinstance(result, Failure):
            failures.append(result)
        else:
            made += 1
    if explained:
        for left in passed:
            emit(left.record()) if as_json else tell(f"passed over {left.file}: {left.reason}")
    if not as_json:
        bad = plural(len(failures), "file")
        say(f"{plural(made, 'product')} in {output}, {bad} could not be used, {len(passed)} passed over")
    return 4 if failures else 0


def _tell(result: Result, explained: bool, as_json: bool, compared: bool = False) -> None:
    """`compared`: with a catalogue, so that a person wants to know why there is no zero point."""
    from services.cli.reduction_record import Failure

    if isinstance(result, Failure):
        if as_json:
            emit(result.record())
        else:
            say(f"{result.file}: {result.error}")
        return
    if as_json:
        emit(result.record(explained))
        return
    tell(result.line())
    for line in result.why() if explained else result.reasons() if compared else ():
        tell(f"  {line}")
