"""`nightferry check`: is the data good?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, one_line, progress
from services.cli.identify import files_argument, instruments_option, walk

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from processors.checks.drift import Place
    from processors.checks.result import CheckResult
    from processors.fits import Frame
    from processors.instrument import Instruments
    from processors.masters.file import Master

EXAMPLES = """\b
Examples:
  nightferry check night/*.fits
  nightferry check night/*.fits --json | jq 'select(.verdict != "ok")'
  nightferry check /data/20220127 --all -j 4
  nightferry check night/ --only seeing --only stars --explain
  nightferry check night/ --master products/master_bias.fits --master products/master_flat_g.fits
\b
Exit codes: 0 good (warnings included), 1 a check is in error, 2 usage or a wrong instrument file, 4 bad data."""


class CheckNameType(click.ParamType):
    """Name of a check."""

    name = "CHECK"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, when there is such a check."""
        from typing import get_args

        from processors.instrument_schema import CheckName

        if value not in get_args(CheckName):
            self.fail(f"{value!r} is no check; there are {', '.join(get_args(CheckName))}", param, ctx)
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names of checks that begin so."""
        from typing import get_args

        from click.shell_completion import CompletionItem

        from processors.instrument_schema import CheckName

        return [CompletionItem(name) for name in get_args(CheckName) if name.startswith(incomplete)]


@click.command("check", epilog=EXAMPLES)
@files_argument
@instruments_option
@click.option("--all", "show_all", is_flag=True, help="Show what is good too, not only warnings and errors.")
@click.option("--only", multiple=True, type=CheckNameType(), help="Only this check; may be given several times.")
@click.option(
    "--master",
    "masters",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare calibration frames with this master; may be given several times.",
)
@click.option("-j", "--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Threads.")
@click.option("--explain", "explained", is_flag=True, help="Say what each check measures, its limits and their source.")
@json_option
def check(
    files: tuple[Path, ...],
    instrument_dirs: tuple[Path, ...],
    show_all: bool,
    only: tuple[str, ...],
    masters: tuple[Path, ...],
    jobs: int,
    explained: bool,
    as_json: bool,
) -> int:
    """Measure each FILE and compare with the limits of its instrument.

    Completeness and sums, header, content, overscan, read noise and pick-up, levels, saturation, amplifiers, sky and
    stars, crosstalk; drift against the FILEs before; read noise from pairs of biases and gain from pairs of flats when
    there are such among the FILEs. A directory stands for all FITS files below it.
    """
    from processors.instrument import load_instruments
    from processors.masters.file import read_master
    from services.cli.check_report import explain, show

    run = _Run(load_instruments(instrument_dirs), only, [read_master(path) for path in masters], as_json)
    paths = walk(files)
    run.frames_of(paths, jobs)
    run.sequences()
    if explained:
        explain(run.frames, only, as_json)
    for record in run.failed if as_json else ():
        emit(record)
    if not as_json:
        show(run.results, len(run.frames), show_all)
    for record in () if as_json else run.failed:
        click.echo(f"{record['file']}: {record['error']}", err=True)
    if run.failed:
        return 4
    return 1 if any(result.verdict == "error" for result in run.results) else 0


@dataclass
class _Run:
    """What is checked, and what has come of it."""

    instruments: Instruments
    only: tuple[str, ...]
    masters: list[Master]
    as_json: bool
    frames: list[Frame] = field(default_factory=list)
    results: list[CheckResult] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    values: dict[tuple[str, ...], dict[Place, list[float]]] = field(default_factory=dict)

    def frames_of(self, paths: list[Path], jobs: int) -> None:
        """Check frame by frame; results in the order of the paths, whatever the number of threads."""
        from processors.ordered import in_order

        for path, checked in progress(
            zip(paths, in_order(self._checked, paths, jobs), strict=True), "checking", len(paths)
        ):
            if isinstance(checked, str):
                self.failed.append({"file": str(path), "error": checked})
                continue
            frame, results = checked
            self.frames.append(frame)
            self._tell([*results, *self._drift(frame, results)])

    def sequences(self) -> None:
        """Check the frames as sequences."""
        from processors.check_frame import check_sequence
        from processors.errors import ProcessorError

        if len(self.frames) < 2:
            return
        try:
            self._tell(check_sequence(self.frames, self.only))
        except (ProcessorError, OSError) as error:
            reason = f"its sequence: {one_line(error)}"
            self.failed.append({"file": str(self.frames[0].path), "error": reason})

    def _checked(self, path: Path) -> tuple[Frame, tuple[CheckResult, ...]] | str:
        from processors.check_frame import check_open_frame, open_frame
        from processors.checks.drift import WATCHED
        from processors.errors import ProcessorError

        try:
            frame = open_frame(path, self.instruments)
            only = {*self.only, *WATCHED} if "drift" in self.only else self.only
            return frame, check_open_frame(frame, self._masters_for(frame), only=only)
        except (ProcessorError, OSError) as error:
            return one_line(error)

    def _masters_for(self, frame: Frame) -> dict[str, Master]:
        """The nearest of the given masters that belong to a frame, by role."""
        from processors.checks.master import masters_for

        return masters_for(frame.identity, self.masters)

    def _drift(self, frame: Frame, results: tuple[CheckResult, ...]) -> list[CheckResult]:
        """Drift against the frames of the kind before this one in the run."""
        from processors.checks.drift import LAST, check_drift, watched_values

        if self.only and "drift" not in self.only:
            return []
        one = frame.identity
        kind = (one.instrument, one.obstype, one.filter, one.readout, one.detectors[0])
        before = self.values.setdefault(kind, {})
        found = list(check_drift(frame, results, before))
        for place, value in watched_values(frame, results):
            before[place] = [value, *before.get(place, ())][:LAST]
        return found

    def _tell(self, results: Iterable[CheckResult]) -> None:
        for result in results:
            if not self.only or result.check in self.only:
                self.results.append(result)
                if self.as_json:
                    emit(asdict(result))
