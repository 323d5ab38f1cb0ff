"""`nightferry housekeep`: the housekeeper, in the foreground, as systemd runs it."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.daemons import config_option, run_daemon

EPILOG = """\b
Example:
  nightferry housekeep -c /etc/nightferry/summit.yaml
\b
SIGHUP reads the limits file again; one with mistakes changes nothing.
What it holds: `nightferry hk -c FILE`; the limits: `nightferry limits check FILE`."""


@click.command(epilog=EPILOG)
@config_option
def housekeep(config: Path) -> None:
    """Follow the sources of housekeeping, judge every value by its limits, and raise alerts."""
    from services.housekeeping.daemon import Housekeeper

    run_daemon("housekeep", config, "housekeep", lambda *parts: Housekeeper(*parts).run())
