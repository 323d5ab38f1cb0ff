"""`nightferry alerts mute` and `unmute`: silence with a reason and an end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from services.cli.alerts_times import moment_of, seconds_of
from services.cli.common import emit, json_option, plural, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

MUTE_EPILOG = """\b
Examples:
  nightferry alerts mute 'housekeeping:roe1:*' --for 2h --reason "warm-up of the camera" -c centre.yaml
  nightferry alerts mute 'route:backup:*' --until 08:00 --reason "disk is being changed" -c centre.yaml
\b
PATTERN is as in a shell; it may fit alerts that are yet to come. Times without an offset are on the clocks of
`alerts.oncall.time_zone`. What is still open when the mute ends is told then."""

UNMUTE_EPILOG = """\b
Examples:
  nightferry alerts unmute 'housekeeping:roe1:*' -c centre.yaml
\b
Exit codes: 0 ended, 1 there is no such mute."""


@click.command(epilog=MUTE_EPILOG)
@click.argument("pattern")
@config_option
@click.option("--for", "duration", default=None, metavar="DURATION", help="How long: 90m, 2h, 3d.")
@click.option("--until", default=None, metavar="TIME", help="Until when: 08:00, 2026-11-21T08:00.")
@click.option("--reason", required=True, help="Why; stands in the audit.")
@click.option("--by", default=None, metavar="NAME", help="Who says so.  [default: the login name]")
@json_option
def mute(
    pattern: str, config: Path, duration: str | None, until: str | None, reason: str, by: str | None, as_json: bool
) -> int:
    """Let alerts whose name fits PATTERN be silent for a time."""
    from services.cli.alerts import whoever
    from services.core.ledger.engine import now
    from services.core.ledger.mutes import mute as mute_in_ledger

    if (duration is None) == (until is None):
        raise click.UsageError("say how long: either --for or --until")
    with existing_ledger(config) as (settings, ledger):
        zone = settings.alerts.oncall.time_zone if settings.alerts is not None else "UTC"
        at = now()
        end = at + seconds_of(duration, "--for") if duration else moment_of(until or "", at, zone, "--until")
        with ledger.begin() as conn:
            fitting = mute_in_ledger(conn, pattern, end, at, whoever(by), reason)
    shown = dt.datetime.fromtimestamp(end, tz=dt.UTC).isoformat(timespec="seconds")
    if as_json:
        emit({"pattern": pattern, "until": shown, "by": whoever(by), "reason": reason, "open": fitting})
    else:
        say(f"{pattern}: muted until {shown}; {plural(len(fitting), 'open alert')} silenced")
    return 0


@click.command(epilog=UNMUTE_EPILOG)
@click.argument("pattern")
@config_option
@click.option("--reason", default=None, help="Why; stands in the audit.")
@click.option("--by", default=None, metavar="NAME", help="Who says so.  [default: the login name]")
@json_option
def unmute(pattern: str, config: Path, reason: str | None, by: str | None, as_json: bool) -> int:
    """End a mute now; PATTERN as it was given to `mute`. What is still open is told."""
    from services.cli.alerts import whoever
    from services.core.ledger.engine import now
    from services.core.ledger.mutes import mutes_in_force
    from services.core.ledger.mutes import unmute as unmute_in_ledger

    with existing_ledger(config) as (_, ledger), ledger.begin() as conn:
        done = unmute_in_ledger(conn, pattern, now(), whoever(by), reason)
        others = [row.pattern for row in mutes_in_force(conn, now())]
    if as_json:
        emit({"pattern": pattern, "unmuted": done})
    elif done:
        say(f"{pattern}: not muted any more")
    else:
        say(f"nightferry: {pattern!r} is not muted; muted are: {', '.join(others) or 'none'}")
    return 0 if done else 1
