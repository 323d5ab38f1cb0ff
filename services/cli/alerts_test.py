"""`nightferry alerts test`: a real message through every channel, now."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option

if TYPE_CHECKING:
    from services.alerts.delivery import Job, Try
    from services.core.settings import Settings

EPILOG = """\b
Examples:
  nightferry alerts test -c centre.yaml                          (everybody, through every channel)
  nightferry alerts test --person anna --kind sms -c centre.yaml
\b
Exit codes: 0 every channel took its message, 1 one refused it, 3 one cannot be reached."""


@click.command(epilog=EPILOG)
@config_option
@click.option("--person", "people", multiple=True, metavar="NAME", help="Only this person; may be given again.")
@click.option("--kind", type=click.Choice(["mail", "sms"]), default=None, help="Only channels of this kind.")
@json_option
def test(config: Path, people: tuple[str, ...], kind: str | None, as_json: bool) -> int:
    """Send a test message through every channel, and say what each one answered.

    Needs no daemon. The messages stand in the record of what was sent, when the ledger can be reached.
    """
    from services.core.errors import BadSettings
    from services.core.log import set_up_logging
    from services.core.settings import LogSettings, load_settings

    set_up_logging(LogSettings(level="error", format="console"))
    settings = load_settings(config)
    if settings.alerts is None:
        raise BadSettings((f"{config}: alerts: is missing; there is no channel to be tested",))
    for person in people:
        if person not in settings.alerts.people:
            known = ", ".join(settings.alerts.people)
            raise click.BadParameter(f"nobody is called {person!r}; known are: {known}", param_hint="--person")
    tried = _try_all(settings, people or tuple(settings.alerts.people), kind)
    for job, item in tried:
        if as_json:
            emit(_record(job, item))
        else:
            say(f"{item.channel} to {job.person}: {item.answer}{': ' if item.reason else ''}{item.reason}")
    if not tried:
        say("nightferry: nobody here has an address for such a channel")
        return BadSettings.exit_code
    _keep(settings, tried)
    answers = {item.answer for _, item in tried}
    return 3 if "unreachable" in answers else 1 if "refused" in answers else 0


def _try_all(settings: Settings, people: tuple[str, ...], only: str | None) -> list[tuple[Job, Try]]:
    from services.alerts.delivery import Job
    from services.alerts.sender import Sender, Words
    from services.core.ledger.engine import now

    alerts = settings.alerts
    assert alerts is not None
    sender = Sender(alerts, Words.of(settings.site, alerts), lambda: None)
    tried = []
    for person in people:
        for name, channel in alerts.channels.items():
            address = alerts.people[person].address(channel.kind)
            if address is None or only not in (None, channel.kind):
                continue
            job = Job(f"test-{person}-{name}-{uuid.uuid4().hex[:12]}", "test", person, channel.kind, 1, now(), ())
            tried.append((job, sender.ask(name, channel, address, job)))
    return tried


def _record(job: Job, item: Try) -> dict[str, Any]:
    return {
        "channel": item.channel,
        "person": job.person,
        "kind": job.kind,
        "answer": item.answer,
        "reason": item.reason or None,
        "seconds": item.seconds,
    }


def _keep(settings: Settings, tried: list[tuple[Job, Try]]) -> None:
    """In the ledger's record; a test must work without the ledger as well."""
    from services.core.errors import LedgerUnreachable
    from services.core.ledger.engine import open_ledger
    from services.core.ledger.notifications import make

    try:
        ledger = open_ledger(settings.ledger)
        with ledger.begin() as conn:
            for job, item in tried:
                row = {"key": job.key, "what": "test", "person": job.person, "kind": job.kind, "body": {"alerts": []}}
                state = "sent" if item.answer == "sent" else "failed"
                answer = {"channel": item.channel, "reason": item.reason or None, "attempts": 1}
                make(conn, {**row, **answer}, (), job.created_at, state)
        ledger.close()
    except LedgerUnreachable as error:
        say(f"nightferry: not on record: {error}")
