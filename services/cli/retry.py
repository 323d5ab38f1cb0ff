"""`nightferry retry`: what was given up is tried again."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

EPILOG = """\b
Examples:
  nightferry retry -c /etc/nightferry/summit.yaml               (every held or refused bundle)
  nightferry retry summit-centre-20260115-0f3a… -c summit.yaml
  nightferry retry -c /etc/nightferry/centre.yaml               (every failed task)
\b
Exit codes: 0 something was (or nothing had to be) tried again, 1 a NAME was not found among what waits."""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="[BUNDLE|TASK]...", nargs=-1)
@config_option
@json_option
def retry(names: tuple[str, ...], config: Path, as_json: bool) -> int:
    """Try again what the daemons gave up: held and refused bundles at the telescope, failed tasks at the centre.

    A held bundle is shipped again; a refused one is packed again from the raw frames; a failed task is ready again.
    """
    from services.retry import retry_all

    with existing_ledger(config) as (settings, ledger):
        done = retry_all(settings, ledger, set(names) or None)
    missing = sorted(set(names) - {name for name, _ in done})
    for name, what in done:
        if as_json:
            emit({"name": name, "done": what})
        else:
            say(f"{name}: {what}")
    for name in missing:
        if as_json:
            emit({"name": name, "error": "nothing to retry under this name"})
        say(f"nightferry: {name}: nothing to retry under this name")
    if not done and not missing:
        say("nothing waits for a retry")
    return 1 if missing else 0
