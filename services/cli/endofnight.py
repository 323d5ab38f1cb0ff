"""`nightferry endofnight`: is the night whole, delivered, signed and verified?"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.core.errors import BadSettings
from services.core.signals import listen

if TYPE_CHECKING:
    from services.core.ledger.engine import Ledger
    from services.core.settings import Settings
    from services.nights.endofnight import Outcome

_MOST_LINES: Final = 40
EPILOG = """\b
Examples:
  nightferry endofnight -c /etc/nightferry/summit.yaml
  nightferry endofnight 20260115 -c /etc/nightferry/summit.yaml --no-wait --json
\b
Exit codes: 0 everything delivered and verified, 1 a hole, 2 usage or configuration,
3 unreachable or not in time: run it again."""


@click.command(epilog=EPILOG)
@click.argument("night", required=False)
@config_option
@click.option("--no-wait", is_flag=True, help="Do what can be done now; do not wait for the daemons nor the answer.")
@json_option
def endofnight(night: str | None, config: Path, no_wait: bool, as_json: bool) -> int:
    """Close a NIGHT (YYYYMMDD; the newest that is over when it is not given). May be run again at any time.

    Takes in frames that nobody recorded, releases bundles whose attempts were used up, lets routes in mode endofnight
    go, waits until everything is delivered, and sends the signed night manifest, which the receiver verifies.
    """
    from services.core.ledger.engine import open_ledger
    from services.core.lockfile import locked
    from services.core.settings import load_settings

    settings = load_settings(config)
    for section in ("watch", "night"):
        if getattr(settings, section) is None:
            hint = " (nightferry keygen makes the key)" if section == "night" else ""
            raise BadSettings((f"{config}: {section}: is missing; `nightferry endofnight` needs it{hint}",))
    if night is not None and not (len(night) == 8 and night.isascii() and night.isdigit()):
        raise click.UsageError(f"a night is YYYYMMDD, got {night!r}")
    ledger = open_ledger(settings.ledger)
    try:
        with locked(settings.state_dir / "nights" / ".lock") as alone:
            if not alone:
                say("nightferry: another end of night is running here")
                return 3
            return _run(settings, ledger, night, no_wait, as_json)
    finally:
        ledger.close()


def _run(settings: Settings, ledger: Ledger, night: str | None, no_wait: bool, as_json: bool) -> int:
    from processors.instrument import load_instruments
    from services.core.log import set_up_logging
    from services.nights.endofnight import EndOfNight

    assert settings.night is not None
    quiet = settings.log.model_copy(update={"level": "warning", "format": "console"})
    set_up_logging(quiet)
    instruments = load_instruments(settings.instruments_dirs)
    with _stop_on_signals() as stop, _Bar() as bar:
        work = EndOfNight(settings, ledger, instruments, bar, stop)
        found = work.reconcile()
        chosen = _choose(ledger, instruments, night)
        if chosen is None:
            say(f"nightferry: no frame of night {night} on record" if night else "nightferry: no night is over yet")
            return 1
        outcome = work.run(chosen, found, wait_s=0.0 if no_wait else settings.night.wait_s)
    if as_json:
        from services.nights.report import as_record

        emit(as_record(settings.site, outcome))
    else:
        _print(settings.site, outcome)
    return outcome.exit_code


def _choose(ledger: Ledger, instruments: Any, night: str | None) -> str | None:
    """The night that was asked for, if there are frames of it, or the newest that is over."""
    import datetime as dt

    from services.core.ledger.nights import nights_on_record
    from services.nights.calendar import current_nights, newest_over

    with ledger.begin() as conn:
        on_record = nights_on_record(conn)
    current = current_nights(on_record, instruments, dt.datetime.now(dt.UTC).replace(tzinfo=None))
    if night is None:
        return newest_over(on_record, current)
    taking = sorted(name for name, nights in on_record.items() if night in nights)
    if any(night >= current[name] for name in taking):
        say(f"night {night} is not over yet: frames that come later need another run")
    return night if taking else None


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that every wait ends; the handlers of before come back at the end."""
    stop = threading.Event()
    undo = listen((signal.SIGINT, signal.SIGTERM), lambda _: stop.set())
    try:
        yield stop
    finally:
        undo()


class _Bar:
    """A progress bar of the deliveries on a terminal; elsewhere only the notes."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bars.add_task("delivered", total=None)
            self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def note(self, text: str) -> None:
        """Say something that a person should know now."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False)
        else:
            say(text)

    def delivered(self, done: int, total: int) -> None:
        """Show how far the deliveries are."""
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total)


def _print(site: str, outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from services.nights.report import closing, lines, troubles

    console = Console(soft_wrap=True, highlight=False, markup=False)
    table = Table("what", Column("", overflow="fold"), title=f"End of night {outcome.night}, {site}")
    for what, value in lines(outcome):
        table.add_row(what, value)
    console.print(table, soft_wrap=False)
    found = list(troubles(outcome))
    for line in found[:_MOST_LINES]:
        console.print(line, style="red")
    if len(found) > _MOST_LINES:
        console.print(f"… and {len(found) - _MOST_LINES} more: --json has all of them", style="red")
    console.print(closing(outcome))
