"""Processes that end: every one in a session of its own, so that it and its children are stopped by the id we know."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How one run of a program ended: wall clock seconds; `error` is None, or its last words; `cut` at the limit."""

    seconds: float
    error: str | None = None
    cut: bool = False


def start(command: Sequence[object], **options: Any) -> subprocess.Popen[str]:
    """Start a program in a session of its own; text pipes, nothing on its standard input unless asked for."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options}
    return subprocess.Popen([str(word) for word in command], start_new_session=True, text=True, **streams)


def stop(process: subprocess.Popen[str], wait_s: float = 5.0) -> None:
    """End a program that `start` started, and its children: asked first, then without asking."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait_s)
            break
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # a pipe that nobody reads any more
                stream.close()


def run_all(commands: Sequence[Sequence[str]], limit_s: float) -> Outcome:
    """Run programs side by side until all have ended or the limit is reached; then they are stopped."""
    with tempfile.TemporaryFile("w+") as words:
        begun = time.perf_counter()
        running = [start(command, stderr=words) for command in commands]
        try:
            for process in running:
                left = limit_s - (time.perf_counter() - begun)
                try:
                    process.wait(timeout=max(0.0, left))
                except subprocess.TimeoutExpired:
                    return Outcome(time.perf_counter() - begun, cut=True)
            seconds = time.perf_counter() - begun
        finally:
            for process in running:
                stop(process)
        if any(process.returncode for process in running):
            words.seek(0)
            said = words.read().strip().splitlines() or ["no word why"]
            return Outcome(seconds, error=said[-1][:200])
        return Outcome(seconds)
