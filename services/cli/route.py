"""`nightferry route`: how the routes of a site stand, and changing them while the daemons run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

EPILOG = """\b
Examples:
  nightferry route list -c /etc/nightferry/summit.yaml
  nightferry route set centre mode=serial -c summit.yaml        (at once, and until it is unset)
  nightferry route set centre paused=true streams=8 -c summit.yaml
  nightferry route unset centre mode -c summit.yaml             (the settings file holds again)
\b
After an edit of the settings file: systemctl reload nightferry-ship nightferry-watch   (SIGHUP)"""

LIST_EPILOG = """\b
Examples:
  nightferry route list -c /etc/nightferry/summit.yaml
  nightferry route list -c summit.yaml --json | jq 'select(.alerts != [])'"""

UNSET_EPILOG = """\b
Examples:
  nightferry route unset centre mode -c summit.yaml
  nightferry route unset centre -c summit.yaml                  (everything that was set while running)"""


@click.group(epilog=EPILOG)
def route() -> None:
    """Show the routes, and change them while the daemons run."""


@route.command("list", epilog=LIST_EPILOG)
@config_option
@json_option
def list_routes(config: Path, as_json: bool) -> int:
    """Say how every route stands: mode, codec, what waits, what is on its way, and what needs a person.

    Exits with 1 when a route needs a person.
    """
    with existing_ledger(config) as (settings, ledger):
        rows = [_row(name, settings, ledger) for name in settings.routes]
    for row in rows if as_json else ():
        emit(row)
    if not as_json:
        _print(rows)
    return 1 if any(row["alerts"] for row in rows) else 0


@route.command("set", epilog=EPILOG)
@click.argument("name")
@click.argument("changes", metavar="KEY=VALUE...", nargs=-1, required=True)
@config_option
@json_option
def set_values(name: str, changes: tuple[str, ...], config: Path, as_json: bool) -> int:
    """Change a route at once, without a restart; the change holds until `route unset`.

    Keys: mode, codec, follow_up, batch_frames, batch_exposures, flush_s, streams, transport, paused.
    """
    from services.core.ledger.engine import now
    from services.core.ledger.route_values import set_value, values
    from services.routes.book import effective

    wanted = dict(_parsed(change) for change in changes)
    with existing_ledger(config) as (settings, ledger):
        known = _known(name, settings)
        with ledger.read() as conn:
            old = values(conn).get(name, {})
        effective(known, {**old, **wanted})  # a value that does not fit is refused here, by name
        with ledger.begin() as conn:
            for key, value in wanted.items():
                set_value(conn, name, key, value, now())
        row = _row(name, settings, ledger)
    if as_json:
        emit(row)
    else:
        say(f"{name}: " + ", ".join(f"{key} is now {value}" for key, value in wanted.items()))
    return 0


@route.command("unset", epilog=UNSET_EPILOG)
@click.argument("name")
@click.argument("keys", nargs=-1)
@config_option
def unset(name: str, keys: tuple[str, ...], config: Path) -> int:
    """Let the settings file hold again for KEYS, or for everything."""
    from services.core.ledger.engine import now
    from services.core.ledger.route_values import drop_values
    from services.core.route_settings import CHANGEABLE

    for key in keys:
        if key not in CHANGEABLE:
            raise click.BadParameter(f"{key!r}: expected one of {', '.join(CHANGEABLE)}", param_hint="KEY")
    with existing_ledger(config) as (settings, ledger):
        _known(name, settings)
        with ledger.begin() as conn:
            dropped = drop_values(conn, name, list(keys or CHANGEABLE), now())
    say(f"{name}: {dropped} value(s) unset; the settings file holds")
    return 0


def _known(name: str, settings: Any) -> Any:
    if name not in settings.routes:
        names = ", ".join(sorted(settings.routes)) or "none"
        raise click.BadParameter(f"there is no route {name!r}; the settings have: {names}", param_hint="NAME")
    return settings.routes[name]


def _parsed(change: str) -> tuple[str, Any]:
    import yaml

    from services.core.route_settings import CHANGEABLE

    key, equals, text = change.partition("=")
    if not equals or key not in CHANGEABLE:
        raise click.BadParameter(f"{change!r}: expected KEY=VALUE with KEY one of {', '.join(CHANGEABLE)}")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # ValueError: a date that cannot be
        value = text
    return key, value


def _row(name: str, settings: Any, ledger: Any) -> dict[str, Any]:
    from services.core.ledger import shipping
    from services.core.ledger.alerts import open_alerts
    from services.core.ledger.route_values import values
    from services.core.route_settings import CHANGEABLE
    from services.routes.book import RouteBook, effective

    wanting = RouteBook(settings, ledger).wanting()
    with ledger.read() as conn:
        changed = values(conn).get(name, {})
        now_so = effective(settings.routes[name], changed)
        waiting = sum(name in wanting(frame) for frame in shipping.waiting_for_route(conn, name, lossless=False))
        states = {
            state: shipping.count_bundles(conn, name, state)
            for state in ("packed", "sent", "held", "refused", "accepted")
        }
        alerts = [row.message for row in open_alerts(conn) if row.alert.startswith(f"route:{name}:")]
    return {
        "route": name,
        "url": now_so.url,
        "mode": now_so.mode,
        "codec": now_so.codec,
        "streams": now_so.streams,
        "paused": now_so.paused,
        "changed": {key: value for key, value in changed.items() if key in CHANGEABLE},
        "frames_waiting": waiting,
        "bundles": states,
        "alerts": alerts,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    states = ("packed", "sent", "held", "refused", "accepted")
    table = Table("route", "mode", "codec", "waiting", *states, box=SIMPLE, padding=(0, 1), pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        mode = f"{row['mode']} ×{row['streams']}" + (", paused" if row["paused"] else "")
        numbers = [str(row["bundles"][state] or "-") for state in states]
        table.add_row(row["route"], mode, row["codec"], str(row["frames_waiting"] or "-"), *numbers)
    console.print(table)
    for row in rows:
        for key, value in sorted(row["changed"].items()):
            console.print(f"{row['route']}: {key} was set to {value} while running", markup=False)
        for alert in row["alerts"]:
            console.print(f"{row['route']}: {alert}", style="red", markup=False)
