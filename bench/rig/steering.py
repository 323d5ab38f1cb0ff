"""Steering senders: processes at the near end that keep their connections between runs."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rig.processes import Outcome, start, stop
from rig.server import Far

PROGRAM = Path(__file__).resolve().parent / "sender.py"
ENDED = "the sending process ended"
START_S = 60.0  # a machine that compiles something for the first time


class Senders:
    """One or several sender processes that share the files of a run between them.

    Parameters
    ----------
    kind
        `ours` or `paramiko`.
    options
        `transport` and `streams` of our remote.
    """

    def __init__(self, far: Far, directory: Path, kind: str, processes: int = 1, **options: Any) -> None:
        self._asked = {
            "kind": kind,
            "url": far.url(directory),
            "directory": str(directory),
            "address": far.address,
            "port": far.port,
            "user": far.user,
            "key_file": str(far.key_file),
            "known_hosts": str(far.known_hosts),
            **options,
        }
        self._near = far.near
        self._processes: list[subprocess.Popen[str]] = []
        self._wanted = processes
        self._words = -1
        self.error: str | None = None
        self.cpu_s = 0.0

    def start(self) -> None:
        """Start the processes; `wait` for them before anything else."""
        command = [*self._near, sys.executable, PROGRAM, json.dumps(self._asked)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with tempfile.TemporaryFile("w+") as words:
            self._words = os.dup(words.fileno())
            self._processes = [start(command, **pipes, stderr=words) for _ in range(self._wanted)]

    def wait(self) -> None:
        """Until the processes are ready; `error` says when they cannot do what is asked."""
        self.error = next((said["error"] for p in self._processes if "error" in (said := _answer(p, START_S))), None)
        with os.fdopen(self._words, "r+", encoding="utf-8") as words:
            words.seek(0)
            last = words.read().strip().splitlines()[-1:]
        if self.error == ENDED and last:
            self.error = last[0][:200]

    def send(self, files: Sequence[tuple[Path, str]], limit_s: float) -> Outcome:
        """Send files, each process its share; stopped (and started anew for the next run) at the limit."""
        if self.error:
            return Outcome(0.0, error=self.error)
        begun = time.perf_counter()
        for number, process in enumerate(self._processes):
            share = [(str(local), name) for local, name in files[number :: self._wanted]]
            _tell(process, do="send", files=share)
        answers = [_answer(process, limit_s - (time.perf_counter() - begun)) for process in self._processes]
        seconds = time.perf_counter() - begun
        if any(not answer for answer in answers):
            self.stop()
            self.start()
            self.wait()
            return Outcome(seconds, cut=True)
        error = next((answer["error"] for answer in answers if "error" in answer), None)
        self.cpu_s = sum(answer.get("cpu_s", 0.0) for answer in answers)
        return Outcome(seconds, error=error)

    def disconnect(self) -> None:
        """Drop the connections, keep the processes."""
        for process in self._processes:
            if process.poll() is None:
                _tell(process, do="close")
                _answer(process, 30.0)

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            stop(process)
        self._processes = []


@contextlib.contextmanager
def running(senders: Sequence[Senders]) -> Iterator[None]:
    """Start senders, and end them."""
    try:
        for each in senders:
            each.start()
        for each in senders:
            each.wait()
        yield
    finally:
        for each in senders:
            each.stop()


def _tell(process: subprocess.Popen[str], **words: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(words) + "\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str], limit_s: float) -> dict[str, Any]:
    """The next line a sender says; empty when it says nothing in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], max(0.0, limit_s))
    if not ready:
        return {}
    line = process.stdout.readline()
    return dict(json.loads(line)) if line else {"error": ENDED}
