"""`nightferry limits`: the limits of housekeeping, checked and tuned by day."""

from __future__ import annotations

import click

from services.cli.limits_check import check
from services.cli.limits_replay import replay

EPILOG = """\b
Examples:
  nightferry limits check euclid_roe.yaml                        (is it valid? every limit in force today)
  nightferry limits check euclid_roe.yaml --hk HK_191_…_ROE1.txt  (what has no limit, what limit has no parameter)
  nightferry limits replay euclid_roe.yaml --hk night/HK_*.txt   (every alert that would have been sent)
\b
docs/housekeeping.md describes the file."""


@click.group(epilog=EPILOG)
def limits() -> None:
    """Check the limits of housekeeping, and run them over recorded data."""


limits.add_command(check)
limits.add_command(replay)
