"""What the console's verbs share: print once, draw again, or write objects as they change."""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from services.cli.common import emit, say
from services.core.errors import ServiceError

if TYPE_CHECKING:
    from rich.text import Text


class View(Protocol):
    """What can be written as objects; `what` and the rest of `key` say which object of another moment it replaces."""

    def records(self) -> Iterator[dict[str, Any]]:
        """One object per line of the view."""


V = TypeVar("V", bound=View)
Lines = Callable[[V, int, int | None], "Sequence[Text]"]


def check_watch(watching: bool, as_json: bool) -> None:
    """Refuse to draw where there is no terminal."""
    if watching and not as_json and not sys.stdout.isatty():
        raise click.UsageError("--watch draws on a terminal; without one use --watch --json, or leave it out")
    if watching and not as_json and os.environ.get("TERM") in ("dumb", "unknown"):
        raise click.UsageError("--watch moves the cursor, which TERM=dumb cannot; leave it out, or use --watch --json")


def show(as_json: bool, view: V, lines: Lines[V]) -> None:
    """Print a view once."""
    if as_json:
        for record in view.records():
            emit(record)
        return
    from services.console.live import print_lines

    print_lines(lambda width, height: lines(view, width, height))


def follow(as_json: bool, every_s: float, look: Callable[[], V], lines: Lines[V]) -> None:
    """Draw again and again, or with JSON write each object when it is new or has changed, until q or Ctrl-C."""
    if not as_json:
        from services.console.live import watch

        watch(lambda width, height: lines(look(), width, height), every_s)
        return
    known: dict[str, str] = {}
    pause = threading.Event()
    try:
        while True:
            try:
                _write_changed(look(), known)
            except ServiceError as error:
                say(f"nightferry: {error}; trying again")
            sys.stdout.flush()
            if _nobody_reads():
                return
            pause.wait(every_s)
    except KeyboardInterrupt:
        return


def _nobody_reads() -> bool:
    """Whether the reader of our pipe is gone (`| head -1`): with nothing new to write, no write would tell us."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(state & select.POLLERR for _, state in poll.poll(0))


_MOVING = frozenset({"now", "age_s", "uptime_s", "oldest_s"})  # what changes by itself is no news
_KEYS = ("what", "instrument", "night", "expid", "route", "queue", "alert", "daemon", "pid", "source", "parameter")


def _write_changed(view: View, known: dict[str, str]) -> None:
    for record in view.records():
        key = json.dumps([record.get(name) for name in _KEYS])
        moving = _MOVING | ({"delay_s"} if not record.get("over", True) else set())
        words = json.dumps({name: value for name, value in record.items() if name not in moving}, default=str)
        if known.get(key) != words:
            known[key] = words
            emit(record)
