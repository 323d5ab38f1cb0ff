"""`nightferry copycals`: a night without calibrations goes on with those of another."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.certify import production_option
from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger
from services.cli.night_type import Night

EPILOG = """\b
Examples:
  nightferry copycals --from 20260114 --to 20260115 -c /etc/nightferry/centre.yaml
  nightferry copycals --from 20260114 --to 20260115 --kind flat --kind skyflat -c centre.yaml --json
\b
Exit codes: 0 the night has what the other one had, 1 the other one has none, 2 usage or configuration,
3 the ledger is away, 4 a master's file is bad."""

KINDS = ("bias", "dark", "flat", "skyflat", "superflat", "fringe", "badpix")


@click.command(epilog=EPILOG)
@click.option("--from", "source", type=Night(), required=True, help="Night (YYYYMMDD) whose calibrations are lent.")
@click.option("--to", "target", type=Night(), required=True, help="Night that gets them.")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only these (repeat for several).")
@click.option("--instrument", default=None, help="Only those of this instrument.")
@click.option("--over", is_flag=True, help="Also where the night has a master of its own.")
@production_option
@config_option
@json_option
def copycals(
    source: str,
    target: str,
    kinds: tuple[str, ...],
    instrument: str | None,
    over: bool,
    production: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Certify the calibrations of one night for another night.

    These are the masters that are certified for the night, and where there are none the night's own. No file is
    copied: a master is never overwritten. Unlike `certify` it takes the masters from no other night.
    """
    from services import registry as masters

    if source == target:
        raise click.UsageError("--from and --to are the same night")
    with existing_ledger(config) as (settings, ledger):
        name = masters.production_of(settings, production)
        result = masters.lend(ledger, name, source, target, kinds=kinds, instrument=instrument, over=over)
    for item in result:
        if as_json:
            record = {"master": item.master.path, "sha256": item.master.sha256, "kind": item.master.kind}
            emit({**record, "from": source, "to": target, "copied": item.lent, "why": item.why})
        else:
            say(f"{item.master.kind} {Path(item.master.path).name}: {item.why}")
    if not result:
        say(f"nightferry: no calibrations of night {source} on record")
    return 0 if result else 1
