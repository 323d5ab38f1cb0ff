"""`nightferry config`: is the settings file right?"""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import emit, json_option, say
from services.core.errors import BadSettings

EPILOG = """\b
Examples:
  nightferry config check /etc/nightferry/summit.yaml
  nightferry config check summit.yaml --json"""


@click.group()
def config() -> None:
    """Work with the settings file of a host."""


@config.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def check(file: Path, as_json: bool) -> int:
    """Check a settings file, and print every mistake at once.

    Looks at the file itself, at the secrets and keys it names, at the instrument files and at the ledger's place.
    Exits with 2 when there is a mistake.
    """
    from services.core.inspection import mistakes_of

    mistakes = mistakes_of(file)
    if as_json:
        emit({"file": str(file), "ok": not mistakes, "mistakes": list(mistakes)})
    else:
        for mistake in mistakes:
            say(mistake)
        say(f"{file}: {len(mistakes)} mistake(s)" if mistakes else f"{file}: good")
    return BadSettings.exit_code if mistakes else 0
