"""`nightferry audit`: raw sha256 → packed → received → archived, frame by frame."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.common import emit, json_option, say
from services.cli.daemons import config_option
from services.cli.ledgers import existing_ledger
from services.core.errors import BadSettings

if TYPE_CHECKING:
    from services.core.ledger.engine import Ledger
    from services.core.settings import Settings
    from services.nights.evidence import Audit, Chain

EPILOG = """\b
Examples:
  nightferry audit 20260115 -c /etc/nightferry/summit.yaml
  nightferry audit 20260115 -c /etc/nightferry/centre.yaml --json
\b
Exit codes: 0 every frame is proven, 1 a hole, a stray file, or no such night, 2 usage or configuration."""


@click.command(epilog=EPILOG)
@click.argument("night")
@config_option
@click.option("--quick", is_flag=True, help="Compare files by size and time; do not read them.")
@click.option("--all", "show_all", is_flag=True, help="Show every frame, not only those with a hole.")
@json_option
def audit(night: str, config: Path, quick: bool, show_all: bool, as_json: bool) -> int:
    """Prove that every frame of a NIGHT (YYYYMMDD) has arrived as it was taken.

    At the telescope: the camera's disk, the manifests that were kept, the receipts and the answer to the night
    manifest. At the data centre: the manifests that came, what was received, every archived file read again, and
    files that nobody can explain. Nothing is changed.
    """
    if not (len(night) == 8 and night.isascii() and night.isdigit()):
        raise click.UsageError(f"a night is YYYYMMDD, got {night!r}")
    with existing_ledger(config) as (settings, ledger):
        if settings.receive is None and not settings.routes:
            raise BadSettings((f"{config}: neither 'routes' nor 'receive': this host has no frames to audit",))
        found = _audit(settings, ledger, night, quick)
    if found is None:
        say(f"nightferry: no frame of night {night} on record")
        return 1
    if as_json:
        _emit(found)
    else:
        _print(settings.site, found, show_all)
    return 0 if found.clean else 1


def _audit(settings: Settings, ledger: Ledger, night: str, quick: bool) -> Audit | None:
    import threading

    never = threading.Event()
    with _counter(f"audit of {night}") as on_frame:
        if settings.receive is not None:
            from services.receiver.night_audit import audit_centre

            return audit_centre(settings, ledger, night, quick=quick, stop=never, on_frame=on_frame)
        from services.nights.telescope_audit import audit_telescope

        return audit_telescope(settings, ledger, night, quick=quick, stop=never, on_frame=on_frame)


@contextlib.contextmanager
def _counter(label: str) -> Iterator[Callable[[], None]]:
    """Counts frames on a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{label}: frame {{task.completed:.0f}}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=None)
        yield lambda: bars.advance(task)


def _emit(found: Audit) -> None:
    for chain in found.chains:
        emit({**asdict(chain), "ok": chain.ok, "waits": chain.waits})
    for odd in found.odd:
        emit({"file": odd.path, "ok": False, "problem": odd.problem})
    emit(
        {
            "summary": True,
            "night": found.night,
            "side": found.side,
            "frames": len(found.chains),
            "holes": found.holes,
            "on_their_way": found.waiting,
            "odd_files": len(found.odd),
            "notes": found.notes,
            "clean": found.clean,
        }
    )


def _print(site: str, found: Audit, show_all: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False, markup=False)
    shown = [chain for chain in found.chains if show_all or not chain.ok]
    if shown:
        columns = list(dict.fromkeys(step.step for chain in shown for step in chain.steps))
        table = Table("frame", *columns, title=f"Audit of {found.night}, {site}")
        for chain in shown:
            table.add_row(chain.name, *(_mark(chain, column) for column in columns))
        console.print(table, soft_wrap=False)
    for chain in shown:
        for step in chain.steps:
            if step.ok is False:
                where = f" on {step.route}" if step.route is not None else ""
                console.print(f"{chain.name}: {step.step}{where}: {step.detail}", style="red")
    for odd in found.odd:
        console.print(f"{odd.path}: {odd.problem}", style="red")
    for note in found.notes:
        console.print(note)
    word = "clean" if found.clean else f"{_count(found.holes, 'hole')}, {_count(len(found.odd), 'odd file')}"
    if found.waiting:
        word += f"; {found.waiting} of the holes are frames on their way"
    console.print(f"{found.night} at the {found.side}: {_count(len(found.chains), 'frame')}, {word}")


def _mark(chain: Chain, column: str) -> str:
    """A step in the table: the worst of all routes; `-` where there is nothing to prove."""
    oks = [step.ok for step in chain.steps if step.step == column]
    if False in oks:
        return "waits" if all(step.waits for step in chain.steps if step.step == column and step.ok is False) else "BAD"
    return "-" if not oks or None in oks else "ok"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
