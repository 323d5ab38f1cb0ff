"""Starts the daemons as systemd would: each a process of its own, started again when it dies, stopped by SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.demo.layout import Layout

STOP_S: Final = 5.0  # a daemon needs half a second


@dataclass
class Unit:
    """A daemon under supervision."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    recent: list[float] = field(default_factory=list)


class Supervisor:
    """The demo's systemd. `pids.json` says which process is which, for whoever wants to kill one.

    Parameters
    ----------
    summit, both
        Verbs of more daemons: at the telescope, and on either side (the centre's is then `VERB-centre`).
    """

    def __init__(self, layout: Layout, workers: int, summit: Sequence[str] = (), both: Sequence[str] = ()) -> None:
        self._layout = layout
        self._pids = layout.root / "pids.json"
        verbs = [(verb, layout.telescope_config) for verb in ("watch", "ship", *summit, *both)]
        verbs += [(verb, layout.centre_config) for verb in ("receive", "conduct")]
        self.units = [self._unit(verb, verb, config) for verb, config in verbs]
        self.units += [self._unit(f"work-{n + 1}", "work", layout.centre_config) for n in range(workers)]
        self.units += [self._unit(f"{verb}-centre", verb, layout.centre_config) for verb in both]

    def _unit(self, name: str, verb: str, config: Path) -> Unit:
        command = [sys.executable, "-m", "services.cli.main", verb, "-c", str(config)]
        return Unit(name, command, self._layout.logs / f"{name}.log")

    def start(self) -> None:
        """Start every daemon."""
        for unit in self.units:
            self._start(unit)
        self._write_pids()

    def tend(self) -> list[str]:
        """Start again what died; the names of those. Five deaths within a minute end the demo.

        Raises
        ------
        OSError
            A daemon cannot be kept alive; its last log line is in the message.
        """
        died = []
        for unit in self.units:
            if unit.process is None or unit.process.poll() is None:
                continue
            died.append(f"{unit.name} ({unit.process.returncode})")
            now = time.monotonic()
            unit.recent = [then for then in unit.recent if now - then < 60] + [now]
            if len(unit.recent) >= 5:
                lines = unit.log.read_text(encoding="utf-8", errors="replace").splitlines()
                raise OSError(f"{unit.name} dies again and again: {lines[-1] if lines else 'it said nothing'}")
            self._start(unit)
        if died:
            self._write_pids()
        return died

    def kill(self, name: str) -> None:
        """SIGKILL one daemon: what a power failure or the kernel does to it."""
        for unit in self.units:
            if unit.name == name and unit.process is not None:
                unit.process.kill()
                unit.process.wait()

    def stop(self, timeout_s: float = STOP_S) -> list[str]:
        """SIGTERM to all; names of those that were not gone in time (these are killed)."""
        for unit in self.units:
            if unit.process is not None and unit.process.poll() is None:
                unit.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        late = []
        for unit in self.units:
            if unit.process is None:
                continue
            try:
                unit.process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                late.append(unit.name)
                unit.process.kill()
                unit.process.wait()
        return late

    def _start(self, unit: Unit) -> None:
        unit.starts += 1
        with unit.log.open("ab") as log:
            unit.process = subprocess.Popen(
                unit.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _write_pids(self) -> None:
        pids = {unit.name: unit.process.pid for unit in self.units if unit.process is not None}
        temporary = self._pids.with_suffix(".tmp")
        temporary.write_text(json.dumps(pids), encoding="utf-8")
        temporary.replace(self._pids)
