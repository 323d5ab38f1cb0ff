"""`nightferry simulate`: a believable night of frames, the same for the same arguments."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, progress, say

if TYPE_CHECKING:
    from processors.simulator.faults import Fault
    from processors.simulator.night import SimulatedFrame
    from processors.simulator.options import NightOptions

EPILOG = """\b
Examples:
  nightferry simulate /tmp/night --instrument simcam --seed 7
  nightferry simulate /tmp/night --seed 7 --layout detectors --json
  nightferry simulate /tmp/run --night 20260301 --nights 3 --filters g,r,i --dithers 5
  nightferry simulate /data/camera --truth /tmp/truth --pace 2 --write-delay 0.3
  nightferry simulate /tmp/night --fault step:HK_temp_top_CCD1,by=8,at=01:30,for=900 --fault cut:12
  nightferry simulate /tmp/big --scale full --biases 3 --darks 0 --flats 3 --targets 1 -j 2
\b
OUT receives the frames; OUT/hk the housekeeping and the exposure log; OUT-truth, beside OUT, all that went into
the frames (truth.json, truth_stars.fits). docs/simulator.md lists the faults; truth.json says when each began and
ended."""

_count = click.IntRange(min=0)
_seconds = click.FloatRange(min=0)


@click.command(epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--instrument", type=click.Choice(["simcam"]), default="simcam", show_default=True, help="The camera.")
@click.option("--seed", type=_count, default=1, show_default=True, help="Decides camera, stars, weather and noise.")
@click.option("--night", default="20260115", show_default=True, help="First night, YYYYMMDD.")
@click.option("--nights", type=click.IntRange(1, 365), default=1, show_default=True, help="Nights in a row.")
@click.option(
    "--layout",
    type=click.Choice(["mosaic", "detectors"]),
    default="mosaic",
    show_default=True,
    help="One file per exposure, or one per detector.",
)
@click.option("--detectors", type=click.IntRange(1, 99), default=4, show_default=True, help="Detectors of the camera.")
@click.option(
    "--scale",
    type=click.Choice(["small", "full"]),
    default="small",
    show_default=True,
    help="Detectors of 512x1024 or 2048x4096 pixels.",
)
@click.option("--width", type=int, help="Light-sensitive columns per detector, instead of --scale.")
@click.option("--height", type=int, help="Light-sensitive rows per detector, instead of --scale.")
@click.option("--biases", type=_count, default=8, show_default=True, help="Biases.")
@click.option("--darks", type=_count, default=2, show_default=True, help="Darks.")
@click.option("--flats", type=_count, default=4, show_default=True, help="Dome flats per filter.")
@click.option("--standards", type=_count, default=1, show_default=True, help="Exposures of a standard per filter.")
@click.option("--targets", type=_count, default=2, show_default=True, help="Science fields.")
@click.option("--dithers", type=_count, default=3, show_default=True, help="Exposures per science field and filter.")
@click.option("--filters", default="g,r", show_default=True, help="Among g, r, i, z, Y.")
@click.option("--exptime", "science_s", type=_seconds, default=90.0, show_default=True, help="Science exposures (s).")
@click.option("--hk/--no-hk", default=True, show_default=True, help="Housekeeping files and exposure log.")
@click.option("--truth", type=click.Path(path_type=Path, file_okay=False), help="Where the truth goes.  [OUT-truth]")
@click.option("--pace", type=_seconds, default=0.0, show_default=True, help="Seconds between two exposures.")
@click.option(
    "--write-delay",
    type=_seconds,
    default=0.0,
    show_default=True,
    help="Seconds between two HDUs of an open file: a slow camera.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:PARAMS]",
    help="Something that goes wrong; may be given again. KIND: step, drift, flap, stuck, railed, nan, stale, clock, "
    "truncate, recreate (housekeeping); cut, slow, duplicate, missing (frames).",
)
@click.option("--overwrite", is_flag=True, help="Replace frames that are there already.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@json_option
def simulate(out: Path, as_json: bool, **arguments: Any) -> None:
    """Write a believable night into OUT: biases, darks, dome flats, a standard, dithered fields, housekeeping.

    The same arguments give the same bytes. Frames appear one after the other: whole, or with --pace or --write-delay
    as cameras write them, growing under their final name. With --json, one object per frame as soon as it is there.
    """
    stop = threading.Event()
    nights = _nights(arguments)
    total = sum(_files(options) for options in nights)
    frames = size = 0
    for frame in progress(_play(out, nights, arguments, stop), "simulating", total):
        frames, size = frames + 1, size + frame.size
        if as_json:
            emit({"file": str(frame.path), **frame.identity, "size": frame.size, "sha256": frame.sha256})
    say(f"{frames} frames, {size / 1e6:.1f} MB, in {out}; the truth is in {arguments['truth'] or beside(out)}")


def _nights(arguments: dict[str, Any]) -> list[NightOptions]:
    """Options of every night that the command line asks for (BadOptions when one cannot be)."""
    from processors.simulator.options import SCALES, NightOptions

    width, height = SCALES[arguments["scale"]]
    same = ("seed", "night", "instrument", "layout", "detectors", "biases", "darks", "flats", "standards")
    first = NightOptions(
        **{name: arguments[name] for name in (*same, "targets", "dithers", "science_s", "hk")},
        width=width if arguments["width"] is None else arguments["width"],
        height=height if arguments["height"] is None else arguments["height"],
        filters=tuple(band.strip() for band in arguments["filters"].split(",") if band.strip()),
        faults=_faults(arguments["faults"]),
    )
    days = (first.date + dt.timedelta(days=number) for number in range(arguments["nights"]))
    return [replace(first, night=f"{day:%Y%m%d}") for day in days]


def _faults(words: tuple[str, ...]) -> tuple[Fault, ...]:
    from processors.simulator.faults import BadFault, parse_fault

    try:
        return tuple(parse_fault(word) for word in words)
    except BadFault as error:
        raise click.BadParameter(str(error), param_hint="--fault") from None


def _files(options: NightOptions) -> int:
    return options.exposures * (1 if options.layout == "mosaic" else options.detectors)


def _play(
    out: Path, nights: list[NightOptions], arguments: dict[str, Any], stop: threading.Event
) -> Iterator[SimulatedFrame]:
    """Simulate night after night, waiting between exposures and, on request, within files."""
    from processors.simulator.night import simulate_night

    pace, delay = arguments["pace"], arguments["write_delay"]
    truth = arguments["truth"] or beside(out)
    for options in nights:
        frames = simulate_night(
            out,
            options,
            truth=truth if len(nights) == 1 else truth / options.night,
            jobs=arguments["jobs"],
            overwrite=arguments["overwrite"],
            write="plain" if pace or delay else "atomic",
            between_hdus=(lambda: _wait(stop, delay)) if delay else None,
            pause=lambda seconds: _wait(stop, seconds),
        )
        files = 1 if options.layout == "mosaic" else options.detectors
        for number, frame in enumerate(frames, start=1):
            yield frame
            if number % files == 0:
                _wait(stop, pace)


def _wait(stop: threading.Event, seconds: float) -> None:
    if seconds:
        stop.wait(seconds)


def beside(out: Path) -> Path:
    """Where the truth goes: next to the night, where no watcher and no `nightferry reduce OUT` takes it for a frame."""
    return out.resolve().with_name(f"{out.resolve().name}-truth")
