"""The demo's progress: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from services.demo.account import Counts

_STEPS = ("written", "seen", "shipped", "arrived", "checked", "reduced")
_QUIET_S = 5.0


class Progress:
    """Shows counts; `note` says something in between without breaking the bars."""

    def __init__(self, expected: int, say: Callable[[str], None]) -> None:
        self._expected = expected
        self._say = say
        self._bars: Any = None
        self._ids: dict[str, Any] = {}
        self._last = ""
        self._said_at = 0.0

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Bars(*columns, console=Console(stderr=True))
            self._ids = {step: self._bars.add_task(step, total=self._expected) for step in _STEPS}
            self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, counts: Counts) -> None:
        """Show where the night stands."""
        if self._bars is not None:
            for step, bar in self._ids.items():
                total = counts.to_reduce if step == "reduced" else self._expected
                self._bars.update(bar, completed=getattr(counts, step), total=total)
            return
        line = ", ".join(f"{getattr(counts, step)} {step}" for step in _STEPS)
        if line != self._last and time.monotonic() - self._said_at >= _QUIET_S:
            self._say(line)
            self._last, self._said_at = line, time.monotonic()

    def note(self, text: str) -> None:
        """Say something that happened."""
        if self._bars is not None:
            self._bars.console.print(text)
        else:
            self._say(text)
