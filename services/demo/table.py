"""The demo's closing table."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from services.demo.account import Account
from services.demo.watchmen import Told


def print_table(account: Account) -> None:
    """Frames by kind with the state they reached, then the checks with their verdicts."""
    console = Console()
    frames = Table("instrument", "night", "kind", "filter", "frames", "state", title="Frames")
    keys = ("instrument", "night", "obstype", "filter", "state")
    for group, number in sorted(Counter(tuple(str(frame[key]) for key in keys) for frame in account.frames).items()):
        instrument, night, obstype, band, state = group
        frames.add_row(instrument, night, obstype, band, str(number), state)
    console.print(frames)
    checks = Table("check", "ok", "warning", "error", title="Checks (per amplifier or frame)")
    by_check: dict[str, Counter[str]] = {}
    for check, verdict, number in account.verdicts:
        by_check.setdefault(check, Counter())[verdict] += number
    for check, verdicts in by_check.items():
        checks.add_row(check, *(str(verdicts[verdict]) for verdict in ("ok", "warning", "error")))
    console.print(checks)
    if account.told is not None:
        console.print(_told(account.told))
    counts = account.counts
    console.print(f"{counts.masters} masters, {counts.reduced} of {counts.to_reduce} frames reduced")


def _told(told: Told) -> Table:
    table = Table("what", "number", title="Housekeeping, alerts, metrics")
    for what, number in told.lines():
        table.add_row(what, number)
    return table
