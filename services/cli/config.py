"""`nightferry config`: is the settings file right?"""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import given_or_of_the_site
from services.core.errors import BadSettings

EPILOG = """\b
Examples:
  nightferry config check
  nightferry config check /etc/nightferry/summit.yaml
  nightferry config check summit.yaml --json"""


@click.group()
def config() -> None:
    """Work with the settings file of a host."""


@config.command(epilog=EPILOG)
@click.argument(
    "file",
    required=False,
    type=click.Path(path_type=Path, dir_okay=False),
    callback=given_or_of_the_site,
    envvar="NIGHTFERRY_CONFIG",
)
@json_option
def check(file: Path, as_json: bool) -> int:
    """Check a settings file, and print every mistake at once.

    Without FILE the one that NIGHTFERRY_CONFIG names, or /etc/nightferry/site.yaml.

    Looks at the file itself, at the secrets and keys it names, at the instrument files, at the ledger's place, at the
    sources and limits of housekeeping, and at the channels of alerts. Exits with 2 when there is a mistake. A remark is
    of something that is allowed, and may not be meant.
    """
    from services.core.inspection import mistakes_of, open_secrets

    mistakes = mistakes_of(file)
    more, remarks = _of_daemons(file)
    mistakes, remarks = mistakes + more, open_secrets(file) + remarks
    if as_json:
        emit({"file": str(file), "ok": not mistakes, "mistakes": list(mistakes), "remarks": list(remarks)})
    else:
        for remark in remarks:
            say(f"remark: {remark}")
        for mistake in mistakes:
            say(mistake)
        say(f"{file}: {len(mistakes)} mistake(s)" if mistakes else f"{file}: good")
    return BadSettings.exit_code if mistakes else 0


def _of_daemons(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Mistakes and remarks on alerts and on housekeeping; nothing when the file itself is not good yet."""
    from services.alerts.inspection import mistakes_in_alerts, remarks_on_alerts
    from services.core.settings import load_settings
    from services.housekeeping.inspection import mistakes_in_limits, remarks_on_limits

    try:
        settings = load_settings(file)
    except BadSettings:
        return (), ()
    mistakes: list[str] = []
    remarks: list[str] = []
    if settings.housekeep is not None:
        mistakes += mistakes_in_limits(settings.housekeep)
        remarks += remarks_on_limits(settings.housekeep)
    if settings.alerts is not None:
        mistakes += mistakes_in_alerts(settings.alerts)
        remarks += remarks_on_alerts(settings.alerts)
    return tuple(f"{file}: {line}" for line in mistakes), tuple(f"{file}: {line}" for line in remarks)
