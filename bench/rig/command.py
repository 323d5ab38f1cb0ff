"""What the command lines of the benchmarks share: two options, rows as they come, a directory in memory."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .rows import Row, show

_MEMORY = Path("/dev/shm")


def parser(text: str, quick: str, *, whole: bool = False) -> argparse.ArgumentParser:
    """Options --quick and --json.

    Parameters
    ----------
    text
        What the benchmark says of itself: its first line is the help, all of it as it stands with `whole`.
    quick
        The help of --quick.
    """
    shape = argparse.RawDescriptionHelpFormatter if whole else argparse.HelpFormatter
    made = argparse.ArgumentParser(description=text if whole else text.splitlines()[0], formatter_class=shape)
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--json", action="store_true", help="one JSON object per row")
    return made


def show_all(rows: Iterable[Row], options: argparse.Namespace) -> None:
    """Print each row as soon as it is known."""
    for each in rows:
        show(each, as_json=options.json)


@contextlib.contextmanager
def in_memory(prefix: str | None = None) -> Iterator[Path]:
    """A temporary directory in memory, where that can be written; else on the disk."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place) as name:
        yield Path(name)
