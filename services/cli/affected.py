"""`nightferry affected`: every product that was made with a master."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from services.cli.certify import production_option
from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

EPILOG = """\b
Examples:
  nightferry affected 3fa97b12 -c /etc/nightferry/centre.yaml
  nightferry affected live-bias-decam-20260115-0f3a….fits -c centre.yaml --json | jq -r .product
\b
Exit codes: 0 good (also when there is none), 1 no such master, 2 usage or configuration, 3 the ledger is away."""


@click.command(epilog=EPILOG)
@click.argument("master")
@production_option
@config_option
@json_option
def affected(master: str, production: str | None, config: Path, as_json: bool) -> int:
    """List every product on disk that was made with a MASTER, directly or through another master.

    MASTER is a path, a file's name, or 6 or more digits of a sha256. A product whose task is not done is about to be
    made again.
    """
    from services import registry as masters
    from services.core.ledger.affected import affected_by

    with existing_ledger(config) as (settings, ledger), ledger.read() as conn:
        found = masters.find_master(conn, masters.production_of(settings, production), master)
        made = affected_by(conn, found.sha256, found.production)
    for product in made:
        if as_json:
            record = asdict(product)
            emit({"product": record.pop("path"), **record})
        else:
            through = f" through {' and '.join(product.through)}" if product.through else ""
            again = "" if product.state in ("done", None) else f" ({product.state}: to be made again)"
            click.echo(f"{product.night} {product.kind:8} {product.path}{through}{again}")
    if not as_json:
        say(f"{len(made)} products were made with {found.kind} {Path(found.path).name}")
    return 0
