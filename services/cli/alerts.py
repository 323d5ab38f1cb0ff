"""`nightferry alerts`: what needs a person, and saying that one takes care of it."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

EPILOG = """\b
Examples:
  nightferry alerts list -c /etc/nightferry/centre.yaml
  nightferry alerts ack disk:archive -c centre.yaml
  nightferry alerts mute 'housekeeping:roe1:*' --for 2h --reason "warm-up of the camera" -c centre.yaml
  nightferry alerts test --person anna -c centre.yaml
\b
-c may be left out where NIGHTFERRY_CONFIG names the settings file, or where it is /etc/nightferry/site.yaml.
ALERT is a name as `list` shows it, or a pattern as in a shell ('disk:*')."""

LIST_EPILOG = """\b
Examples:
  nightferry alerts list -c centre.yaml
  nightferry alerts list --all 'disk:*' -c centre.yaml           (those that are over, too)
  nightferry alerts list --json -c centre.yaml | jq 'select(.state == "raised")'
\b
Exit codes: 0 nothing waits for a person, 1 an alert is open that nobody has acknowledged or muted."""

SHOW_EPILOG = """\b
Examples:
  nightferry alerts show disk:archive -c centre.yaml
  nightferry alerts show disk:archive --json -c centre.yaml
\b
Exit codes: 0 shown, 1 there is no such alert."""

ACK_EPILOG = """\b
Examples:
  nightferry alerts ack disk:archive -c centre.yaml
  nightferry alerts ack 'housekeeping:*' --by anna --reason "the chiller is being repaired" -c centre.yaml
  nightferry alerts ack all -c centre.yaml
\b
Exit codes: 0 acknowledged, or it was already; 1 no open alert has such a name."""

HISTORY_EPILOG = """\b
Examples:
  nightferry alerts history -c centre.yaml                      (of the last day)
  nightferry alerts history 'disk:*' --since 7d --json -c centre.yaml"""

by_option = click.option("--by", default=None, metavar="NAME", help="Who says so.  [default: the login name]")
reason_option = click.option("--reason", default=None, help="Why; stands in the audit.")


def whoever(by: str | None) -> str:
    """The person who types: as given, or the login name (that of the person who called `sudo -u nightferry`)."""
    if by or os.environ.get("SUDO_USER"):
        return by or os.environ["SUDO_USER"]
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name
        return "unknown"


@click.group(epilog=EPILOG)
def alerts() -> None:
    """Alerts: list them, acknowledge, mute, see what was sent, try the channels."""


@alerts.command("list", epilog=LIST_EPILOG)
@click.argument("pattern", default="*", metavar="[PATTERN]")
@config_option
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@json_option
def list_alerts(pattern: str, config: Path, everything: bool, as_json: bool) -> int:
    """List open alerts, the gravest and oldest first, and who was told."""
    from services.alerts.account import account_of
    from services.core.ledger.engine import now

    with existing_ledger(config) as (_, ledger), ledger.read() as conn:
        rows, mutes = account_of(conn, now(), pattern, everything)
    if as_json:
        for row in rows:
            emit(row)
    else:
        from services.cli.alerts_table import print_list

        print_list(rows, mutes, now())
    return 1 if any(row["open"] and row["state"] in ("raised", "flapping") for row in rows) else 0


@alerts.command(epilog=SHOW_EPILOG)
@click.argument("alert")
@config_option
@json_option
def show(alert: str, config: Path, as_json: bool) -> int:
    """Show one alert with its history: every step, who did it and why, every message and what became of it."""
    from services.alerts.account import history_of, one_account
    from services.core.ledger.engine import now

    with existing_ledger(config) as (_, ledger), ledger.read() as conn:
        row = one_account(conn, now(), alert)
        steps = history_of(conn, alert)
    if row is None:
        say(f"nightferry: there is no alert {alert!r}; `nightferry alerts list --all` shows the names")
        return 1
    if as_json:
        emit({**row, "history": steps})
    else:
        from services.cli.alerts_table import print_one

        print_one(row, steps)
    return 0


@alerts.command(epilog=ACK_EPILOG)
@click.argument("which", metavar="ALERT|PATTERN|all...", nargs=-1, required=True)
@config_option
@by_option
@reason_option
@json_option
def ack(which: tuple[str, ...], config: Path, by: str | None, reason: str | None, as_json: bool) -> int:
    """Say that somebody takes care: no repeats and no escalation any more in this episode."""
    from services.alerts.account import acknowledge_all
    from services.core.ledger.engine import now

    patterns = ["*" if name == "all" else name for name in which]
    with existing_ledger(config) as (_, ledger), ledger.begin() as conn:
        done, before = acknowledge_all(conn, patterns, now(), whoever(by), reason)
    for name in done + before:
        if as_json:
            emit({"alert": name, "acknowledged_by": whoever(by) if name in done else None, "before": name in before})
        else:
            say(f"{name}: {'acknowledged' if name in done else 'was acknowledged before'}")
    if not done and not before:
        say(f"nightferry: no open alert is called {' or '.join(which)}" if which != ("all",) else "no alert is open")
    return 0 if done or before or which == ("all",) else 1


@alerts.command(epilog=HISTORY_EPILOG)
@click.argument("pattern", default="*", metavar="[PATTERN]")
@config_option
@click.option("--since", default="1d", show_default=True, metavar="DURATION", help="How far back: 90m, 12h, 7d.")
@json_option
def history(pattern: str, config: Path, since: str, as_json: bool) -> int:
    """Show what happened to alerts, step by step, from the ledger's audit."""
    from services.alerts.account import steps_since
    from services.cli.alerts_times import seconds_of
    from services.core.ledger.engine import now

    after = now() - seconds_of(since, "--since")
    with existing_ledger(config) as (_, ledger), ledger.read() as conn:
        steps = steps_since(conn, pattern, after)
    if as_json:
        for step in steps:
            emit(step)
    else:
        from services.cli.alerts_table import print_steps

        print_steps(steps)
    return 0


def _register() -> None:
    from services.cli import alerts_mute, alerts_test

    alerts.add_command(alerts_mute.mute)
    alerts.add_command(alerts_mute.unmute)
    alerts.add_command(alerts_test.test)


_register()
