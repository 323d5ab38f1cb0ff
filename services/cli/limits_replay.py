"""`nightferry limits replay`: the rules run over recorded data, so that they can be tuned by day."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.common import emit, json_option, plural, progress, say
from services.cli.limits_data import Moment, config_option, file_argument, moment, printer, read_all

if TYPE_CHECKING:
    from services.housekeeping.limits.replay import Episode, Summary

EPILOG = """\b
Examples:
  nightferry limits replay euclid_roe.yaml --hk night/HK_*.txt
  nightferry limits replay limits.yaml --hk roe1=night/HK_191_….txt --hk drive=20130102.DRIVE.fits -c summit.yaml
  nightferry limits replay limits.yaml --hk /data/hk/20260115 --learn /data/hk/20260113 --learn /data/hk/20260114
  nightferry limits replay limits.yaml --hk night.csv --json | jq 'select(.what == "alert")'
\b
Exit codes: 0 no alert would have been sent, 1 some would, 2 usage, or the file is wrong, 4 the data cannot be read."""


@click.command(epilog=EPILOG)
@file_argument
@click.argument("more", nargs=-1, metavar="[DATA]...")
@click.option("--hk", "data", multiple=True, metavar="[SOURCE=]DATA", help="Recorded file, or a directory of them.")
@click.option("--learn", multiple=True, metavar="[SOURCE=]DATA", help="A night that the envelopes learn from before.")
@click.option("--from", "from_ns", type=Moment(), help="Only rows from this time on.")
@click.option("--to", "to_ns", type=Moment(), help="Only rows before this time.")
@config_option
@json_option
def replay(
    file: Path,
    more: tuple[str, ...],
    data: tuple[str, ...],
    learn: tuple[str, ...],
    from_ns: int | None,
    to_ns: int | None,
    config: Path | None,
    as_json: bool,
) -> int:
    """Run the limits of FILE over recorded DATA: every alert that would have been sent, and a summary."""
    from services.housekeeping.limits.book import load_limits
    from services.housekeeping.limits.engine import Engine
    from services.housekeeping.limits.replay import between, episodes, parts_of, summaries
    from services.housekeeping.limits.replay import replay as run

    if not data and not more:
        raise click.UsageError("no data: give --hk DATA")
    book = load_limits(file)
    engine, now_ns = Engine(book), time.time_ns()
    for night in learn:
        engine.learn(read_all(book, (night,), config, now_ns).samples)
    recorded = read_all(book, (*data, *more), config, now_ns)
    recorded.say_bad()
    samples = [part for part in (between(part, from_ns, to_ns) for part in recorded.samples) if len(part)]
    if not samples:
        raise click.UsageError("no rows between --from and --to")
    found = episodes(run(engine, book, progress(parts_of(book, samples), "replaying")))
    every = summaries(engine, samples, found)
    if as_json:
        _emit(found, every)
    else:
        _show(found, every)
    return 1 if found else 0


def _emit(found: list[Episode], every: list[Summary]) -> None:
    for episode in found:
        first = asdict(episode.first)
        raised, resolved = first.pop("time_ns"), episode.resolved_ns
        first.pop("opened")
        emit({
            "what": "alert",
            **first,
            "severity": episode.worst.severity,
            "raised": moment(raised),
            "resolved": None if resolved is None else moment(resolved),
            "duration_s": episode.duration_s,
        })  # fmt: skip
    for summary in every:
        emit({"what": "parameter", **asdict(summary)})


def _show(found: list[Episode], every: list[Summary]) -> None:
    add, done = printer(("raised", "for", "sev", "alert", "message"))
    for episode in found:
        said = episode.worst
        worse = "" if said is episode.first else f" (from {moment(said.time_ns)[11:]} on)"
        lasted = "still open" if episode.duration_s is None else _span(episode.duration_s)
        add(moment(episode.first.time_ns), lasted, str(said.severity), said.alert, said.message + worse)
    done()
    add, done = printer(("source", "parameter", "samples", "out", "alerts", "lowest", "median", "highest"))
    quiet = 0
    for one in every:
        if not one.alerts and not one.out:
            quiet += one.limited
            continue
        values = ("" if math.isnan(value) else f"{value:.5g}" for value in (one.lowest, one.median, one.highest))
        add(one.source, one.parameter, str(one.samples), f"{one.out:.2%}", str(one.alerts), *values)
    done()
    unlimited = [one.parameter for one in every if not one.limited]
    severe = sum(episode.worst.severity == 2 for episode in found)
    say(
        f"{plural(len(found), 'alert')} ({severe} of severity 2); {plural(quiet, 'parameter')} always within limits, "
        f"{len(unlimited)} without limits"
    )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
