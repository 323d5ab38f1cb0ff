"""`nightferry build-master`: one kind of master calibration from frames, without any daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from services.cli.common import bar, emit, json_option, max_age_option, one_line, output_option, plural, say, tell
from services.cli.identify import files_argument, instruments_option, walk

if TYPE_CHECKING:
    from processors.masters.build import Master
    from services.cli.master_run import Choice, Sorted

EXAMPLES = """\b
Examples:
  nightferry build-master bias night/*.fits -o masters
  nightferry build-master dark night/*.fits masters/master_bias_*.fits -o masters
  nightferry build-master flat night/*.fits masters/*.fits -o masters --remove-illumination
  nightferry build-master superflat night/*.fits masters/master_bias_*.fits -o masters --method median
  nightferry build-master badpix masters/*.fits -o masters --explain
\b
Exit codes: 0 good, 2 usage or a wrong instrument file, 4 a file or a group of them of which no master could be made."""

KINDS: Final = ("bias", "dark", "flat", "skyflat", "superflat", "fringe", "badpix")


@click.command("build-master", epilog=EXAMPLES)
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@files_argument
@output_option("masters")
@click.option(
    "--method",
    type=click.Choice(["mean", "median"]),
    help="Of the values that clipping leaves; mean, but median for superflat and fringe.",
)
@click.option("--low", default=3.0, show_default=True, type=click.FloatRange(min=1.0), help="Clip below so many sigma.")
@click.option(
    "--high", default=3.0, show_default=True, type=click.FloatRange(min=1.0), help="Clip above so many sigma."
)
@click.option(
    "--keep-illumination/--remove-illumination",
    "keep",
    default=True,
    help="Of flats: keep the large-scale shape of the light, or leave the pixels' own response only.",
)
@click.option(
    "--hot", "hot_e_s", default=0.1, show_default=True, help="badpix: e-/s above the surroundings (and 8 sigma)."
)
@click.option(
    "--dead", "low_response", default=0.5, show_default=True, help="badpix: response below which a pixel is dead."
)
@instruments_option
@max_age_option
@click.option("-j", "--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Threads.")
@click.option(
    "--explain", "explained", is_flag=True, help="Say which files and calibrations were used or not, and why."
)
@json_option
def build_master(
    kind: Any,
    files: tuple[Path, ...],
    output: Path,
    method: Any,
    low: float,
    high: float,
    keep: bool,
    hot_e_s: float,
    low_response: float,
    instrument_dirs: tuple[Path, ...],
    max_age_days: float,
    jobs: int,
    explained: bool,
    as_json: bool,
) -> int:
    """Build masters of one KIND from the frames of that kind among FILEs, one for each readout, filter and so on.

    KIND is bias, dark, flat, skyflat, superflat, fringe (both of science frames) or badpix (of masters). Masters among
    the FILEs calibrate the frames: a dark wants a bias, a flat a bias and perhaps a dark, a superflat also a flat when
    it shall show what that one has left. Inputs that would spoil the master are left out, and it is said why. Frames of
    other kinds are passed over. A directory stands for all FITS files below it.
    """
    from processors.errors import ProcessorError
    from processors.instrument import load_instruments
    from processors.masters.badpix import Limits
    from processors.masters.build import Recipe
    from services.cli.master_run import build, choices, sort_files

    recipe = Recipe(
        method or ("median" if kind in {"superflat", "fringe"} else "mean"), low, high, "keep" if keep else "remove"
    )
    output.mkdir(parents=True, exist_ok=True)
    found = sort_files(kind, walk(files), load_instruments(instrument_dirs))
    todo = choices(kind, found, max_age_days)
    failures = dict(found.failed)
    if not todo:
        what = "masters of biases, darks or flats" if kind == "badpix" else f"frames for a master {kind}"
        failures.setdefault(", ".join(map(str, files)), f"no {what} among these")
    made = 0
    with bar(f"building {kind}", sum(choice.steps for choice in todo)) as tick:
        for choice in todo:
            try:
                master = build(
                    kind, choice, output, recipe, Limits(hot_e_s=hot_e_s, low_response=low_response), jobs, tick
                )
            except (ProcessorError, OSError) as error:
                failures[choice.name] = one_line(error)
                continue
            made += 1
            _tell(choice, master, explained, as_json)
    return _end(made, output, found, failures, explained, as_json)


def _tell(choice: Choice, master: Master, explained: bool, as_json: bool) -> None:
    flags = _flags(master)
    if as_json:
        record: dict[str, Any] = {
            "product": str(master.path),
            "kind": master.key.kind,
            "instrument": master.key.instrument,
            "night": master.key.night,
            "filter": master.key.filter,
            "detectors": master.detectors,
            "inputs": [given.name for given in master.inputs if given.role == "frame"],
            "calibrations": {given.role: given.name for given in master.inputs if given.role != "frame"},
            "sha256": {given.name: given.sha256 for given in master.inputs},
            "rejected": {left_out.name: left_out.reason for left_out in master.rejected},
            "flags": flags,
        }
        if explained:
            record["explain"] = [candidate.record() for candidate in choice.candidates]
        emit(record)
        return
    frames = sum(given.role == "frame" for given in master.inputs)
    used = [f"{given.role} {given.name}" for given in master.inputs if given.role != "frame"]
    parts = [f"{master.key.kind:9} {master.path.name}"]
    parts += [f"from {plural(frames, 'frame')}"] if frames else []
    parts += [f"with {', '.join(used)}"] if used else []
    parts += [f"flags {' '.join(flags)}"] if flags else []
    tell("  ".join(parts))
    for left_out in master.rejected:
        tell(f"  left out {left_out.name}: {left_out.reason}")
    if explained:
        for given in master.inputs:
            tell(f"  used {given.role:9} {given.name}")
        for candidate in choice.candidates:
            tell(f"  {candidate.line()}")


def _flags(master: Master) -> list[str]:
    """NOBIAS for what wants a bias and had none; the other calibrations are a choice."""
    roles = {given.role for given in master.inputs}
    return ["NOBIAS"] if master.key.kind not in {"bias", "badpix"} and "bias" not in roles else []


def _end(made: int, output: Path, found: Sorted, failures: dict[str, str], explained: bool, as_json: bool) -> int:
    if as_json:
        if explained:
            for file, reason in found.ignored.items():
                emit({"file": file, "ignored": reason})
        for file, error in failures.items():
            emit({"file": file, "error": error})
        return 4 if failures else 0
    if explained:
        for file, reason in found.ignored.items():
            tell(f"passed over {file}: {reason}")
    for file, error in failures.items():
        say(f"{file}: {error}")
    passed = plural(len(found.ignored), "file")
    say(f"{plural(made, 'master')} in {output}, {plural(len(failures), 'failure')}, {passed} passed over")
    return 4 if failures else 0
