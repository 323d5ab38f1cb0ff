"""`nightferry characterise`: what a detector is like, measured on sequences of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import click

from services.cli.characterise_options import Limits, limit_option, options_of, rule_option
from services.cli.common import emit, json_option, one_line, progress, say, tell
from services.cli.identify import files_argument, instruments_option, walk

if TYPE_CHECKING:
    from processors.characterise.kind import Kind
    from processors.characterise.result import Characterisation, FrameUse
    from processors.characterise.sequence import DetectorSequence
    from processors.fits import Frame
    from processors.instrument_schema import Obstype

EXAMPLES = """\b
Examples:
  nightferry characterise bias night/*.fits
  nightferry characterise dark darks/ --limit dark_current=:10 --explain
  nightferry characterise ptc ladder/*.fits -j 4 --covariances --json > ptc.json
  nightferry characterise linearity ladder/*.fits --order 3 --high-adu 50000
  nightferry characterise focus run/*.fits --card TELFOCUS
  nightferry characterise ptc led/*.fits darks/*.fits --as 'led*=flat' --as 'dark*=dark'
\b
Exit codes: 0 good, 1 a flag is raised, 2 usage or a wrong instrument file, 4 bad data."""


class KindGroup(click.Group):
    """A command of each kind, with the options that the kind has; names in any case."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        from processors.characterise.registry import KINDS

        return [kind.name.lower() for kind in KINDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        from processors.characterise.registry import KINDS

        kind = next((kind for kind in KINDS if kind.name == cmd_name.upper()), None)
        return None if kind is None else _command(kind)


@click.group("characterise", cls=KindGroup, epilog=EXAMPLES, subcommand_metavar="KIND [OPTIONS] FILE...")
def characterise() -> None:
    """Measure what a detector is like, on FILEs that hold the frames of a test of one KIND.

    Every detector, readout and (where it matters) filter among them is measured by itself. Frames of other obstypes are
    passed over. A directory stands for all FITS files below it.
    """


@dataclass
class Run:
    """Files that were opened, those that were passed over, those that failed, and the results."""

    frames: list[Frame] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    results: list[Characterisation] = field(default_factory=list)


def _command(kind: Kind) -> click.Command:
    """The command of a kind; its options are the fields of the kind's dataclass."""
    hints = get_type_hints(kind.options)

    def callback(
        files: tuple[Path, ...],
        instrument_dirs: tuple[Path, ...],
        rules: tuple[tuple[str, Obstype], ...],
        limits: Limits,
        jobs: int,
        explained: bool,
        as_json: bool,
        **given: Any,
    ) -> int:
        run = _open(files, instrument_dirs, rules)
        left_out = _measure(run, kind, kind.options(**given), limits, jobs)
        _refuse_unknown(limits, run.results)
        return _tell(run, kind, left_out, explained, as_json)

    command = click.Command(
        kind.name.lower(),
        callback=callback,
        params=options_of(kind.options, hints),
        help=f"{kind.title[0].upper()}{kind.title[1:]}.",
        epilog=EXAMPLES,
    )
    jobs = click.option("-j", "--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Threads.")
    explain = click.option(
        "--explain", "explained", is_flag=True, help="Say which frames were used as what, or why not."
    )
    for decorate in (json_option, explain, jobs, limit_option, rule_option, instruments_option, files_argument):
        command = _decorated(command, decorate)
    return command


def _decorated(command: click.Command, decorate: Any) -> click.Command:
    """The command with one more parameter, in front of the others."""

    def nothing() -> None: ...

    decorate(nothing)
    command.params[:0] = nothing.__click_params__  # type: ignore[attr-defined]
    return command


def _open(files: tuple[Path, ...], instrument_dirs: tuple[Path, ...], rules: Sequence[tuple[str, Obstype]]) -> Run:
    from processors.characterise.sequence import renamed
    from processors.check_frame import open_frame
    from processors.errors import ProcessorError
    from processors.header import read_headers
    from processors.instrument import load_instruments

    instruments, run = load_instruments(instrument_dirs), Run()
    for path in progress(walk(files), "opening"):
        try:
            product = read_headers(path)[0].get("NFKIND")
            if product is None:
                run.frames.append(open_frame(path, instruments))
            else:
                run.ignored[str(path)] = f"a product of kind {product}"
        except (ProcessorError, OSError) as error:
            run.failed[str(path)] = one_line(error)
    run.frames = list(renamed(run.frames, rules))
    return run


def _measure(run: Run, kind: Kind, options: Any, limits: Limits, jobs: int) -> tuple[FrameUse, ...]:
    """Fill in the results, in the order of detectors, and return which frames belong to none."""
    from concurrent.futures import ThreadPoolExecutor

    from processors.characterise.run import characterise_detector
    from processors.characterise.sequence import sequences
    from processors.errors import ProcessorError

    found, left_out = sequences(run.frames, kind.needs(options))

    def one(sequence: DetectorSequence) -> Characterisation | str:
        try:
            return characterise_detector(kind, sequence, options, limits=limits)
        except (ProcessorError, OSError) as error:
            return one_line(error)

    with ThreadPoolExecutor(jobs) as pool:
        for sequence, result in progress(
            zip(found, pool.map(one, found), strict=True), f"measuring {kind.name}", len(found)
        ):
            if isinstance(result, str):
                run.failed[f"{sequence.instrument} detector {sequence.detector}"] = result
            else:
                run.results.append(result)
    return left_out


def _refuse_unknown(limits: Limits, results: Sequence[Characterisation]) -> None:
    """A limit on what is never measured would be a test that always passes."""
    known = {quantity.name for result in results for quantity in result.quantities}
    unknown = {name for name, _ in limits} - known
    if known and unknown:
        raise click.UsageError(f"--limit: no {', '.join(sorted(unknown))} here, but {', '.join(sorted(known))}")


def _tell(run: Run, kind: Kind, left_out: Sequence[FrameUse], explained: bool, as_json: bool) -> int:
    ignored = {use.file: use.reason for use in left_out} | run.ignored
    message = "" if run.results or run.failed else f"no frames for {kind.name} among these files"
    if as_json:
        _emit(run, kind, message, ignored if explained else {})
    else:
        from services.cli.characterise_table import show

        for result in run.results:
            show(result, explained)
        if message:
            say(f"MISSDATA: {message}")
        if explained:
            for file, reason in ignored.items():
                tell(f"passed over {file}: {reason}")
        for file, error in run.failed.items():
            say(f"{file}: {error}")
    if run.failed:
        return 4
    return 1 if message or any(result.flags for result in run.results) else 0


def _emit(run: Run, kind: Kind, message: str, ignored: dict[str, str]) -> None:
    from dataclasses import asdict

    from processors.characterise.result import MISSING

    for result in run.results:
        emit(asdict(result))
    if message:
        emit({"kind": kind.name, "flags": [MISSING], "messages": [message]})
    for file, reason in ignored.items():
        emit({"file": file, "ignored": reason})
    for file, error in run.failed.items():
        emit({"file": file, "error": error})
