"""`nightferry hk`: the last values of housekeeping against their limits, on an ssh line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.common import json_option, say
from services.cli.daemons import config_option
from services.cli.watching import check_watch, follow, show

if TYPE_CHECKING:
    from rich.text import Text

    from services.console.hk_view import HousekeepingView, ParameterLine

EPILOG = """\b
Examples:
  nightferry hk -c /etc/nightferry/summit.yaml                       (everything, once; out of limits first)
  nightferry hk 'HK_temp_*' --watch -c summit.yaml                   (drawn again every 2 s; q leaves)
  nightferry hk --out --json -c summit.yaml                          (only what is out of limits)
  nightferry hk 'HK_temp_*' --plot temperatures.png -c summit.yaml   (what the housekeeper has at hand, with limits)
\b
A PATTERN is that of a shell, on the parameter's name or on SOURCE:PARAMETER. Exit codes: 0 all that was asked about is
within its limits, 1 something is not, or the housekeeper does not run, 3 there is no housekeeping here."""

HISTORY_S = 30 * 86_400.0  # more than the housekeeper keeps
MOST_TRENDS = 200  # parameters whose last hour is drawn when everything is printed at once


@click.command(epilog=EPILOG)
@click.argument("patterns", nargs=-1, metavar="[PARAMETER|PATTERN]...")
@config_option
@click.option("--watch", "watching", is_flag=True, help="Stay, and draw again what has changed.")
@click.option("--every", "every_s", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds.")
@click.option("--out", "only_out", is_flag=True, help="Only what is out of limits, silent, or no number.")
@click.option("--plot", "picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw into a PNG file.")
@json_option
def hk(
    patterns: tuple[str, ...],
    config: Path,
    watching: bool,
    every_s: float,
    only_out: bool,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Show the last values of housekeeping against their limits: value, limits, last hour, age, verdict.

    Reads what the housekeeper keeps on this host, and only reads.
    """
    from services.console.hk_screen import hk_lines
    from services.console.hk_view import HousekeepingWatch
    from services.core.log import set_up_logging
    from services.core.settings import LogSettings, load_settings

    check_watch(watching, as_json)
    if watching and picture is not None:
        raise click.UsageError("--plot draws once: leave out --watch")
    set_up_logging(LogSettings(level="error", format="console"))
    values = HousekeepingWatch(load_settings(config), patterns, only_out)
    if watching:
        follow(
            as_json,
            every_s,
            lambda: values.look(time.time()),
            lambda view, width, height: hk_lines(view, values.trend, width, height),
        )
        return 0
    view = values.look(time.time())
    if patterns and not view.lines and not only_out:
        raise click.BadParameter(f"no parameter fits {' '.join(patterns)}", param_hint="PARAMETER")
    if picture is not None:
        from services.console.hk_plot import plot

        plot(picture, [(line, *values.history(line, HISTORY_S)) for line in view.lines])
        say(f"{len(view.lines)} parameters in {picture}")
        return 1 if view.bad else 0

    drawn = {(line.source, line.parameter) for line in view.lines[:MOST_TRENDS]}

    def trend(line: ParameterLine) -> list[float]:
        return values.trend(line) if (line.source, line.parameter) in drawn else []

    def lines(view: HousekeepingView, width: int, height: int | None) -> list[Text]:
        return hk_lines(view, trend, width, height)

    show(as_json, view, lines)
    return 1 if view.bad else 0
