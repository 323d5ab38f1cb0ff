"""A screen that is drawn again where it has changed: made for an ssh line over a satellite."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from services.core.errors import ServiceError

Draw = Callable[[int, int | None], Sequence[Text]]  # width and height to lines
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_LEAVING: Final = frozenset({"q", "Q", "\x03", "\x04", "\x1b"})
_COST: Final = 10.0  # looking may take a tenth of the time at most


def print_lines(draw: Draw) -> None:
    """Print once: in colour and cut to the terminal's width, or as plain text where there is no terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else 160
    for line in draw(width, None):
        console.print(line, soft_wrap=True)


def watch(draw: Callable[[int, int | None], Sequence[Text]], every_s: float) -> None:
    """Draw again and again until q or Ctrl-C; the newest lines win where the screen is too small.

    What cannot be read for a while is said in the last line, over what was read before.
    """
    with _Screen() as screen:
        lines: Sequence[Text] = ()
        while True:
            began = time.monotonic()
            width, height = screen.size()
            trouble = ""
            try:
                lines = draw(width, height - 1)
            except ServiceError as error:
                trouble = f"{error}; trying again"
            foot = Text(trouble or "q: leave", style="bold red" if trouble else "dim", no_wrap=True)
            foot.truncate(width, overflow="ellipsis")
            screen.show([*lines[: height - 1], *[Text("")] * (height - 1 - len(lines)), foot])
            pause = max(every_s, _COST * (time.monotonic() - began))
            if screen.wait(pause):
                return


class _Screen:
    """The terminal while it is ours. Whatever happens, it is given back as it was."""

    def __enter__(self) -> _Screen:
        self._out = sys.stdout
        self._keys = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._was: list[Any] | None = termios.tcgetattr(self._keys) if self._keys is not None else None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._old = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGHUP)
        }
        self._colours: Any = Console().color_system
        self._shown: list[str] = []
        self._take()
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._give_back()
        os.close(self._reader)
        os.close(self._writer)

    def _take(self) -> None:
        if self._keys is not None:
            tty.setcbreak(self._keys)
        self._shown = []
        self._write(_ENTER)

    def _give_back(self) -> None:
        self._write(_LEAVE)
        if self._keys is not None and self._was is not None:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._was)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        os.write(self._writer, {signal.SIGWINCH: b"w", signal.SIGTSTP: b"z"}.get(signal.Signals(number), b"q"))

    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        try:
            size = os.get_terminal_size(self._out.fileno())
        except OSError:
            return 80, 24
        return max(20, size.columns), max(4, size.lines)

    def show(self, lines: Sequence[Text]) -> None:
        """Write the lines that differ from what is on the screen."""
        made = [_ansi(line, self._colours) for line in lines]
        changed = [(n, line) for n, line in enumerate(made) if n >= len(self._shown) or self._shown[n] != line]
        if changed:
            self._write("".join(f"\x1b[{n + 1};1H{line}\x1b[0m\x1b[K" for n, line in changed))
        self._shown = made

    def wait(self, seconds: float) -> bool:
        """Wait for the time or a new size of the terminal; True when the person wants to leave."""
        deadline = time.monotonic() + seconds
        sources = [self._reader, *([self._keys] if self._keys is not None else [])]
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(sources, [], [], left)
            for source in ready:
                pressed = os.read(source, 64).decode("ascii", errors="replace")
                if source == self._reader and pressed:
                    if "q" in pressed:
                        return True
                    self._again(stopped="z" in pressed)
                    return False
                if not pressed or pressed in _LEAVING:
                    return True
        return False

    def _again(self, *, stopped: bool) -> None:
        if stopped:
            self._give_back()
            os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    def _write(self, text: str) -> None:
        data = text.encode(self._out.encoding or "utf-8", errors="replace")  # a terminal may know ASCII only
        self._out.buffer.write(data)
        self._out.flush()


def _ansi(line: Text, colours: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=colours, width=10_000, highlight=False)
    console.print(line, end="", soft_wrap=True)
    return out.getvalue()
