"""`nightferry wcs`: solutions on the sky, checked, fitted and converted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.catalogue import catalogue_options, reference_of
from services.cli.common import emit, json_option, say
from services.cli.identify import files_argument, walk
from services.cli.wcs_report import run

if TYPE_CHECKING:
    from processors.astrometry.fit import Guess
    from services.cli.wcs_run import Output

EXAMPLES = """\b
Examples:
  nightferry wcs check products/reduced_*.fits --catalogue gaia.fits
  nightferry wcs check products/reduced_*.fits --catalogue /data/gaia --max-rms 0.5 --json | jq .offset_east_arcsec
  nightferry wcs fit products/reduced_*.fits --catalogue /data/gaia -o solved -j 2
  nightferry wcs fit raw.fits --catalogue tycho2.fits --guess 303.2,46.0,10.3 --form tpv --in-place
  nightferry wcs fit raw.fits --index-dir /data/astrometry -o solved
  nightferry wcs catalogue gaia/*.fits -o /data/gaia
  nightferry wcs convert scamp.fits --to sip -o sip
\b
Exit codes: 0 good, 1 a solution that does not hold, was not found or cannot be converted, 2 usage or a wrong
catalogue, 4 bad data."""

CHECKED = ("matched", "offset_east_arcsec", "offset_north_arcsec", "rotation_deg", "rms_arcsec", "verdict")
FITTED = ("method", "form", "order", "matched", "rms_arcsec", "was_rms_arcsec", "ra_deg", "dec_deg", "scale_arcsec")
CONVERTED = ("from", "form", "order", "residual_px")

jobs_option = click.option("-j", "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
search_option = click.option(
    "--search", "search_arcsec", type=click.FloatRange(0.1), default=300.0, show_default=True, metavar="ARCSEC",
    help="How far the image may lie from where its header or the guess puts it.",
)  # fmt: skip


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where files go."""
    function = click.option(
        "--ignore-datasum", is_flag=True, help="Pass on data whose DATASUM is wrong already; it stays wrong."
    )(function)
    function = click.option("--overwrite", is_flag=True, help="Replace files in DIR.")(function)
    function = click.option("--in-place", is_flag=True, help="Change the headers of the files themselves.")(function)
    return click.option(
        "-o", "--output", "directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
        help="Where new files go, under the same names; made when missing.",
    )(function)  # fmt: skip


@click.group("wcs", epilog=EXAMPLES)
def wcs() -> None:
    """Solutions on the sky (WCS) in the headers of images: check, fit, convert.

    Every image of a file is looked at that has a solution, or every image where none has one. A directory stands for
    all FITS files below it. Pixels stay byte for byte as they are.
    """


@wcs.command("check", epilog=EXAMPLES)
@files_argument
@catalogue_options(required=True)
@search_option
@click.option("--max-rms", "max_rms_arcsec", type=click.FloatRange(0.0), metavar="ARCSEC", help="Worse is an error.")
@jobs_option
@json_option
def check(
    files: tuple[Path, ...], catalogue: Path, columns: str | None, no_motion: bool, search_arcsec: float,
    max_rms_arcsec: float | None, jobs: int, as_json: bool,
) -> int:  # fmt: skip
    """Compare the stars of each FILE with a catalogue: offset, rotation, scale, rms and number matched."""
    from services.cli.wcs_run import check_file

    sky = reference_of(catalogue, columns, no_motion)
    assert sky is not None
    return run(check_file, walk(files), (sky, search_arcsec, max_rms_arcsec), jobs, as_json, CHECKED)


@wcs.command("fit", epilog=EXAMPLES)
@files_argument
@catalogue_options(required=False)
@search_option
@click.option("--form", type=click.Choice(["sip", "tpv", "tan"]), default="sip", show_default=True)
@click.option(
    "--order", type=click.IntRange(0, 7), default=4, show_default=True,
    help="Highest degree; the one that predicts left-out stars best is taken.",
)  # fmt: skip
@click.option(
    "--guess", metavar="RA,DEC,SCALE[,TOLERANCE]",
    help="Middle (degrees), arcsec per pixel and its relative error (0.1), where the header does not help.",
)  # fmt: skip
@click.option(
    "--index-dir", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="Index files of astrometry.net, for its solve-field where nothing else helps.",
)  # fmt: skip
@click.option(
    "--time-limit", type=click.FloatRange(1.0), default=60.0, show_default=True, metavar="S", help="Of solve-field."
)
@output_options
@jobs_option
@click.option("--explain", "explained", is_flag=True, help="Say which ways were tried, and why this solution.")
@json_option
def fit(
    files: tuple[Path, ...], catalogue: Path | None, columns: str | None, no_motion: bool, search_arcsec: float,
    form: Any, order: int, guess: str | None, index_dir: Path | None, time_limit: float,
    directory: Path | None, in_place: bool, overwrite: bool, ignore_datasum: bool, jobs: int, explained: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Find or improve the solutions of each FILE with a catalogue; one that is as good already stays.

    Tried in turn: the header, the guess, astrometry.net's solve-field with local index files. Without -o or --in-place
    nothing is written.
    """
    from services.cli.wcs_run import fit_file
    from services.cli.wcs_solve import Search

    if catalogue is None and index_dir is None:
        raise click.UsageError("--catalogue or --index-dir is needed")
    program = shutil.which("solve-field")
    search = Search(
        reference_of(catalogue, columns, no_motion), search_arcsec, form, order, _guess(guess),
        None if program is None else Path(program), index_dir, time_limit,
    )  # fmt: skip
    paths = walk(files)
    output = _output(paths, directory, in_place, (overwrite, ignore_datasum))
    return run(fit_file, paths, (search, output), jobs, as_json, FITTED, explained)


@wcs.command("catalogue", epilog=EXAMPLES)
@files_argument
@click.option(
    "-o", "--output", "directory", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Where the HEALPix files and their index go; made when missing.",
)  # fmt: skip
@click.option("--order", type=click.IntRange(0, 12), default=5, show_default=True, help="5: files of 1.8 degrees.")
@click.option("--columns", metavar="KEY=COLUMN,...", help="Columns, where they have no common names.")
@json_option
def catalogue(files: tuple[Path, ...], directory: Path, order: int, columns: str | None, as_json: bool) -> int:
    """Cut a large reference catalogue (FITS or CSV FILEs with the same columns) into a directory of HEALPix files.

    Of such a directory only the files near an image are read: a whole-sky catalogue costs no more than a small one.
    """
    from processors.catalogue.columns import parse_columns
    from processors.catalogue.cut import cut_catalogue

    stars = cut_catalogue(walk(files), directory, order, None if columns is None else parse_columns(columns))
    record = {"directory": str(directory), "files": len(stars), "stars": sum(stars.values()), "order": order}
    if as_json:
        emit(record)
    else:
        say("{stars} stars in {files} files below {directory}".format_map(record))
    return 0


@wcs.command("convert", epilog=EXAMPLES)
@files_argument
@click.option("--to", "form", type=click.Choice(["sip", "tpv", "tan"]), required=True)
@click.option(
    "--tolerance", "tolerance_px", type=click.FloatRange(0.0), default=0.01, show_default=True, metavar="PX",
    help="Refuse what would differ by more anywhere on the image.",
)  # fmt: skip
@output_options
@jobs_option
@json_option
def convert(
    files: tuple[Path, ...], form: Any, tolerance_px: float, directory: Path | None, in_place: bool, overwrite: bool,
    ignore_datasum: bool, jobs: int, as_json: bool,
) -> int:  # fmt: skip
    """Write the solutions of each FILE as SIP, TPV or plain TAN, and say by how much they differ at most.

    A file is converted whole or not at all. Without -o or --in-place nothing is written.
    """
    from services.cli.wcs_run import convert_file

    paths = walk(files)
    output = _output(paths, directory, in_place, (overwrite, ignore_datasum))
    return run(convert_file, paths, (form, tolerance_px, output), jobs, as_json, CONVERTED)


def _guess(text: str | None) -> Guess | None:
    from processors.astrometry.fit import Guess

    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    inside = len(numbers) in {3, 4} and abs(numbers[1]) <= 90 and -180 <= numbers[0] <= 360 and numbers[2] > 0
    if not inside or (len(numbers) == 4 and not 0 < numbers[3] <= 1):
        raise click.UsageError(f"--guess is RA,DEC,SCALE[,TOLERANCE] in degrees and arcsec per pixel, not {text!r}")
    return Guess(*numbers)


def _output(paths: list[Path], directory: Path | None, in_place: bool, flags: tuple[bool, bool]) -> Output:
    from services.cli.wcs_run import Output

    if directory is not None:
        if in_place:
            raise click.UsageError("-o and --in-place exclude each other")
        names = [path.name.removesuffix(".gz") for path in paths]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise click.UsageError(f"several files of the same name: {', '.join(twice)}")
        directory.mkdir(parents=True, exist_ok=True)
    return Output(directory, in_place, *flags)
