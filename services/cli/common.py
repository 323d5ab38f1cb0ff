"""What every verb shares: JSON lines on standard output, words for people on standard error, progress, exit codes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import click

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line on standard output.")


def emit(record: Mapping[str, Any]) -> None:
    """Write one record as one JSON line on standard output; NaN and infinities become null, as JSON knows neither."""
    click.echo(json.dumps(_plain(record), allow_nan=False, ensure_ascii=False))


def say(text: str) -> None:
    """Write a line for a person on standard error."""
    click.echo(text, err=True)


def one_line(error: BaseException) -> str:
    """The message of an error in one line; what the system says of a file without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def exit_code_of(error: BaseException) -> int | None:
    """Exit code of a named error (each class carries one), of the system's errors, or None for a defect of ours."""
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return 2
    if isinstance(error, OSError):
        return 3
    return None


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar when standard error is a terminal, silently elsewhere."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=label, total=total, console=Console(stderr=True), transient=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [_plain(item) for item in value]
    return value
