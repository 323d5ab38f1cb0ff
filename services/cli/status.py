"""`nightferry status`: where every frame and task is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from services.cli.common import emit, json_option
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

EPILOG = """\b
Examples:
  nightferry status -c /etc/nightferry/summit.yaml
  nightferry status -c /etc/nightferry/centre.yaml --night 20260115 --json"""


@click.command(epilog=EPILOG)
@config_option
@click.option("--night", default=None, help="Only this night (YYYYMMDD).")
@json_option
def status(config: Path, night: str | None, as_json: bool) -> int:
    """Say how many frames, bundles and tasks are in each state, and what needs a person.

    Exits with 1 when something needs a person: a quarantined file, a refused bundle, a failed task.
    """
    from services.core.summary import summarise

    with existing_ledger(config) as (settings, ledger), ledger.read() as conn:
        summary = summarise(conn, night)
    if as_json:
        emit({"site": settings.site, "night": night, **summary})
    else:
        _print(settings.site, summary)
    return 1 if summary["needs_a_person"] else 0


def _print(site: str, summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("what", "state", "number", title=site)
    for what in ("frames", "bundles", "tasks"):
        for state, number in summary[what].items():
            table.add_row(what, state, str(number))
    console.print(table)
    for line in summary["needs_a_person"]:
        console.print(line, style="red", markup=False)
