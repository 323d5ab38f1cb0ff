"""`nightferry certify` and `decertify`: for which nights a master is valid."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger
from services.cli.night_type import Night

CERTIFY_EPILOG = """\b
Examples:
  nightferry certify live-flat-decam-20260115-0f3a….fits --from 20260115 --until 20260122 -c centre.yaml
  nightferry certify products/master_flat.fits --from 20260115 -c centre.yaml   (made by hand; no end)
  nightferry certify 3fa97b12 --from 2026-01-15 --until 2026-01-15 -c centre.yaml --json
\b
Exit codes: 0 certified, 1 no such master, 2 usage or configuration, 3 the ledger is away, 4 the file is bad."""

DECERTIFY_EPILOG = """\b
Examples:
  nightferry decertify 3fa97b12 -c /etc/nightferry/centre.yaml            (a bad master: never again)
  nightferry decertify 3fa97b12 --keep -c /etc/nightferry/centre.yaml     (a master like any other again)
\b
Exit codes: 0 done, 1 no such master, or nothing to take back, 2 usage or configuration, 3 the ledger is away."""

production_option = click.option("--production", default=None, help="By default the one that is conducted, else live.")


@click.command(epilog=CERTIFY_EPILOG)
@click.argument("master")
@click.option("--from", "first", type=Night(), required=True, help="First night (YYYYMMDD) that it is valid for.")
@click.option("--until", "last", type=Night(), default=None, help="Last night, included; none: no end.")
@production_option
@config_option
@json_option
def certify(master: str, first: str, last: str | None, production: str | None, config: Path, as_json: bool) -> int:
    """Declare a MASTER valid for a range of nights, and for no other.

    MASTER is a path, a file's name, or 6 or more digits of a sha256. A master that `nightferry build-master` or
    `reduce` made is taken on record first: verified, and copied to the products. In these nights it is preferred to
    every master that nobody certified; what was reduced without it is reduced again.
    """
    from services import registry as masters
    from services.core.ledger import registry
    from services.core.ledger.engine import now

    if last is not None and last < first:
        raise click.BadParameter(f"{last} is before {first}", param_hint="--until")
    with existing_ledger(config) as (settings, ledger):
        name = masters.production_of(settings, production)
        try:
            with ledger.read() as conn:
                found = masters.verified(masters.find_master(conn, name, master))
            registered = False
        except masters.NoSuchMaster:
            if not Path(master).is_file():
                raise
            found = masters.register(settings, ledger, Path(master), name)
            registered = True
        with ledger.begin() as conn:
            again = registry.certify(conn, found, first, last or registry.OPEN_END, now())
    record = {"master": found.path, "sha256": found.sha256, "kind": found.kind, "from": first, "until": last}
    if as_json:
        emit({**record, "registered": registered, "changed": again is not None, "nights": again or []})
        return 0
    if registered:
        say(f"taken on record: {found.path}")
    nights = registry.span(first, last or registry.OPEN_END)
    if again is None:
        say(f"{found.kind} {Path(found.path).name} is certified for {nights} already")
    else:
        count = f"{len(again)} night{'' if len(again) == 1 else 's'}"
        say(
            f"{found.kind} {Path(found.path).name} is certified for {nights}; {count} on record will be looked at again"
        )
    return 0


@click.command(epilog=DECERTIFY_EPILOG)
@click.argument("master")
@click.option("--keep", is_flag=True, help="Let it be chosen like any master that nobody certified.")
@production_option
@config_option
@json_option
def decertify(master: str, keep: bool, production: str | None, config: Path, as_json: bool) -> int:
    """Take every certification of a MASTER back, and withdraw it: it is not used any more.

    Says which products were made with it. They are made again with the next best master, or without one as far as
    `conduct.reduce_without` allows. `certify` brings the master back.
    """
    from services import registry as masters
    from services.core.ledger import registry
    from services.core.ledger.affected import affected_by
    from services.core.ledger.engine import now

    with existing_ledger(config) as (settings, ledger), ledger.begin() as conn:
        found = masters.find_master(conn, masters.production_of(settings, production), master)
        made = affected_by(conn, found.sha256, found.production)
        changed = registry.decertify(conn, found, now(), keep=keep)
    paths = [product.path for product in made]
    if as_json:
        record = {"master": found.path, "sha256": found.sha256, "kind": found.kind, "withdrawn": not keep}
        emit({**record, "changed": changed, "affected": paths})
    else:
        name = f"{found.kind} {Path(found.path).name}"
        done = "is not certified any more" if keep else "is withdrawn"
        say(f"{name} {done}" if changed else f"{name}: nothing to take back")
        say(f"{len(paths)} products were made with it (nightferry affected {found.sha256[:12]})")
    return 0 if changed else 1
