"""`nightferry status`: where every frame and task is, and which daemons run."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger

if TYPE_CHECKING:
    from rich.console import Console

    from services.core.ledger.engine import Ledger
    from services.core.settings import Settings

EPILOG = """\b
Examples:
  nightferry status -c /etc/nightferry/summit.yaml
  nightferry status -c /etc/nightferry/centre.yaml --night 20260115 --json
  nightferry status -c centre.yaml --forget work-2        (a worker that is not wanted any more)
  nightferry status -c centre.yaml --forget site:summit   (a telescope that is not to be missed)
  nightferry status -c centre.yaml --forget host:node3    (a host that was taken away)"""


@click.command(epilog=EPILOG)
@config_option
@click.option("--night", default=None, help="Only this night (YYYYMMDD).")
@click.option(
    "--forget", "forgotten", default=None, metavar="WHO", help="Miss a dead daemon, a site or a host no more."
)
@json_option
def status(config: Path, night: str | None, forgotten: str | None, as_json: bool) -> int:
    """Say how many frames, bundles and tasks are in each state, which daemons run, and what needs a person.

    Exits with 1 when something needs a person: a quarantined file, a refused bundle, a failed task, an open alert, a
    daemon that should run and does not.
    """
    from services.core.summary import summarise
    from services.routes.book import RouteBook

    with existing_ledger(config) as (settings, ledger):
        if forgotten is not None:
            return _forget(settings, ledger, forgotten)
        book = RouteBook(settings, ledger)
        paused = [name for name in book.names if book.get(name).paused]
        with ledger.read() as conn:
            summary = summarise(conn, night)
            heard = _heard(conn, settings, time.time())
    daemons = _daemons(settings)
    down = [daemon for daemon in daemons if daemon["down"]]
    if as_json:
        said = {"routes_paused": paused, "daemons": daemons, "heard": heard}
        emit({"site": settings.site, "night": night, **summary, **said})
    else:
        _print(settings.site, summary, paused, daemons, heard)
    return 1 if summary["needs_a_person"] or down else 0


def _daemons(settings: Settings) -> list[dict[str, Any]]:
    """Every daemon of this host that has left a word, or is expected; `down` when it does not do its work."""
    from services.conditions.daemons import BAD, gather, judge
    from services.core.condition_settings import DaemonConditions

    words = judge(gather(settings.state_dir / "run"), settings.conditions.daemons or DaemonConditions())
    return [{**asdict(word), "down": word.state in BAD} for word in words]


def _heard(conn: Any, settings: Settings, now: float) -> list[dict[str, Any]]:
    """Sites, receivers and hosts that are to be heard of, how long ago that was, and whether they tell their people.

    `tells` is None where that is not known: an older receiver, or one that is not heard of by itself.
    """
    from services.core.ledger.heartbeats import heartbeat_rows

    shown = ("site:", "receiver:", f"notify:{settings.site}:")
    rows = heartbeat_rows(conn)

    def tells(who: str) -> bool | None:
        spoken = rows.get(who.replace("receiver:", "centre:", 1))
        return spoken.document.get("tells") if spoken is not None else None

    return [
        {"who": who.replace(shown[2], "host:"), "age_s": round(max(0.0, now - row.at), 1), "tells": tells(who)}
        for who, row in sorted(rows.items())
        if who.startswith(shown)
    ]


def _forget(settings: Settings, ledger: Ledger, who: str) -> int:
    from services.core.ledger.alerts import resolve_alert
    from services.core.ledger.engine import now
    from services.core.ledger.heartbeats import forget_heartbeat
    from services.core.process import boot_id
    from services.core.pulse import is_alive, read_pulses

    run = settings.state_dir / "run"
    for pulse in read_pulses(run):
        if pulse.instance == who:
            if is_alive(pulse, boot_id()):
                raise click.UsageError(f"{who} is running (process {pulse.pid}): stop it first")
            (run / f"{who}.json").unlink(missing_ok=True)
            say(f"{who} is missed no more")
            return 0
    kind, _, name = who.partition(":")
    row = f"notify:{settings.site}:{name}" if kind == "host" else who
    if kind in ("site", "host", "receiver") and name:
        with ledger.begin() as conn:
            if forget_heartbeat(conn, row, now(), "a person said so"):
                if kind == "receiver":
                    forget_heartbeat(conn, f"centre:{name}", now(), "a person said so")
                for alert in _of_host(conn, name) if kind == "host" else ():
                    resolve_alert(conn, alert, now())
                say(f"{who} is missed no more")
                return 0
    say(f"nobody is known as {who}")
    return 1


def _of_host(conn: Any, host: str) -> list[str]:
    """Open alerts that only this host could end: of one that was taken away, or has another name, nobody would."""
    from services.core.ledger.alerts import open_alerts

    begins = tuple(f"{about}:{host}{end}" for about in ("daemon", "disk", "clock") for end in (":", "/"))
    return [row.alert for row in open_alerts(conn) if row.alert.startswith(begins)]


def _print(
    site: str,
    summary: dict[str, Any],
    paused: list[str],
    daemons: list[dict[str, Any]],
    heard: list[dict[str, Any]],
) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("what", "state", "number", title=site)
    for what in ("frames", "bundles", "tasks"):
        for state, number in summary[what].items():
            table.add_row(what, state, str(number))
    console.print(table)
    _print_daemons(console, daemons, heard)
    for name in paused:
        console.print(f"route {name} is paused: nightferry route set {name} paused=false", style="yellow", markup=False)
    for line in summary["needs_a_person"]:
        console.print(line, style="red", markup=False)


def _print_daemons(console: Console, daemons: list[dict[str, Any]], heard: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from services.conditions.base import words_of_time

    if daemons:
        table = Table("daemon", "running since (UTC)", "last beat", "says")
        for each in daemons:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each["started_at"])) if each["started_at"] else ""
            down = "hangs" if each["state"] == "hung" else f"not running ({each['state']})"
            state = down if each["down"] else since
            beat = f"{words_of_time(each['age_s'])} ago" if each["age_s"] is not None else "never"
            style = "red" if each["down"] else ""
            table.add_row(each["instance"], Text(state, style), Text(beat, style), Text(each["status"]))
        console.print(table)
    for each in heard:
        cannot = "" if each["tells"] is not False else "; it cannot reach its people"
        console.print(f"{each['who']} was heard {words_of_time(each['age_s'])} ago{cannot}", markup=False)
