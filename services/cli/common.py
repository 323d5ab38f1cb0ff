"""What every verb shares: JSON lines on standard output, words for people on standard error, progress, exit codes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_SHOWN: Final[list[Console]] = []  # where a progress bar is being drawn, if anywhere

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line on standard output.")

max_age_option = click.option(
    "--max-age",
    "max_age_days",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    help="Farthest calibration to use, days before or after.",
)


def emit(record: Mapping[str, Any]) -> None:
    """Write one record as one JSON line on standard output; NaN and infinities become null, as JSON knows neither."""
    tell(json.dumps(_plain(record), allow_nan=False, ensure_ascii=False))


def tell(text: str) -> None:
    """Write a line on standard output."""
    _write(text, err=False)


def say(text: str) -> None:
    """Write a line for a person on standard error."""
    _write(text, err=True)


def _write(text: str, *, err: bool) -> None:
    """Write a line; on a terminal with a progress bar above the bar, which would share its line otherwise."""
    if _SHOWN and (sys.stderr if err else sys.stdout).isatty():
        _SHOWN[-1].print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
    else:
        click.echo(text, err=err)


def one_line(error: BaseException) -> str:
    """The message of an error in one line; what the system says of a file without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def plural(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(label, total) as tick:
        for item in items:
            yield item
            tick()


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar when standard error is a terminal, nothing elsewhere; gives what is called for each step."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as bars:
        task = bars.add_task(label, total=total)
        _SHOWN.append(console)
        try:
            yield lambda: bars.advance(task)
        finally:
            _SHOWN.remove(console)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [_plain(item) for item in value]
    return value


def output_option(what: str) -> Callable[[F], F]:
    """The option that says where products go; `what` they are, in the plural."""
    return click.option(
        "-o", "--output", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
        help=f"Where {what} go; made when missing.",
    )  # fmt: skip
