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
    from services.routes.book import RouteBook

    with existing_ledger(config) as (settings, ledger):
        book = RouteBook(settings, ledger)
        paused = [name for name in book.names if book.get(name).paused]
        with ledger.read() as conn:
            summary = summarise(conn, night)
    if as_json:
        emit({"site": settings.site, "night": night, **summary, "routes_paused": paused})
    else:
        _print(settings.site, summary, paused)
    return 1 if summary["needs_a_person"] else 0


def _print(site: str, summary: dict[str, Any], paused: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("what", "state", "number", title=site)
    for what in ("frames", "bundles", "tasks"):
        for state, number in summary[what].items():
            table.add_row(what, state, str(number))
    console.print(table)
    for name in paused:
        console.print(f"route {name} is paused: nightferry route set {name} paused=false", style="yellow", markup=False)
    for line in summary["needs_a_person"]:
        console.print(line, style="red", markup=False)
