"""`nightferry night`: the exposure log, what waits, alerts and daemons, on an ssh line."""

from __future__ import annotations

import time
from pathlib import Path

import click

from services.cli.common import json_option
from services.cli.daemons import config_option
from services.cli.night_type import Night
from services.cli.watching import check_watch, follow, show

EPILOG = """\b
Examples:
  nightferry night -c /etc/nightferry/summit.yaml                  (the newest night, once)
  nightferry night --watch -c /etc/nightferry/centre.yaml          (drawn again every 2 s; q leaves)
  nightferry night 20260115 --last 20 -c summit.yaml
  nightferry night --json -c centre.yaml | jq 'select(.what == "exposure" and .verdict == "error")'
\b
Columns: UT the shutter opened; s exposure time; seeing arcsec; sky e-/s per pixel; zp magnitude of 1 e-/s; where the
exposure's slowest frame is; delay since the shutter closed (… while it is under way; for frames that are played
again later, since their file was written)."""

NEWEST = 80  # exposures that are read for a screen: more lines have few terminals


@click.command(epilog=EPILOG)
@click.argument("night", type=Night(), required=False, metavar="[YYYYMMDD]")
@config_option
@click.option("--watch", "watching", is_flag=True, help="Stay, and draw again what has changed.")
@click.option("--every", "every_s", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds.")
@click.option("--last", type=click.IntRange(min=1), default=None, help="Only so many of the newest exposures.")
@json_option
def night(night: str | None, config: Path, watching: bool, every_s: float, last: int | None, as_json: bool) -> int:
    """Show the exposure log of a night, what waits on routes and in queues, open alerts and daemons.

    Works at the telescope and at the data centre; only reads. Exits with 1 when something needs a person.
    """
    from services.console.night_screen import night_lines
    from services.console.night_view import NightWatch
    from services.console.readonly import look_at_ledger
    from services.core.log import set_up_logging
    from services.core.settings import LogSettings, load_settings

    check_watch(watching, as_json)
    set_up_logging(LogSettings(level="error", format="console"))
    settings = load_settings(config)
    ledger = look_at_ledger(settings.ledger)
    try:
        log = NightWatch(settings, ledger, night, last or (NEWEST if watching and not as_json else None))
        if watching:
            follow(as_json, every_s, lambda: log.look(time.time()), night_lines)
            return 0
        view = log.look(time.time())
        show(as_json, view, night_lines)
    finally:
        ledger.close()
    return 1 if view.bad else 0
