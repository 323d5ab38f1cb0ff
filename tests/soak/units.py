"""The daemons of both hosts as processes, and what each of them costs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
DAEMONS = {
    "telescope": ("watch", "ship", "housekeep", "notify", "metrics"),
    "centre": ("receive", "conduct", "work", "work", "notify", "metrics"),
}


@dataclass
class Unit:
    """One daemon: started again when it ends, as by systemd."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    back_at: float = 0.0
    kills: int = 0

    def start(self) -> None:
        """Start it; what it says is appended to its log."""
        self.since = time.time()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def kill(self, away_s: float) -> None:
        """SIGKILL; it comes back after so many seconds."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.kills += 1
            self.back_at = time.time() + away_s


@dataclass
class Units:
    """All daemons of both hosts."""

    root: Path
    environment: dict[str, str]
    units: list[Unit] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # those that ended by themselves, and how

    def __post_init__(self) -> None:
        for host, verbs in DAEMONS.items():
            for number, verb in enumerate(verbs):
                name = f"{host[0]}-{verb}-2" if verb in verbs[:number] else f"{host[0]}-{verb}"
                command = [sys.executable, "-m", "services.cli.main", verb, "-c", str(self.root / f"{host}.yaml")]
                self.units.append(Unit(name, command, self.root / "logs" / f"{name}.log", self.environment))

    def start(self) -> None:
        """Start all."""
        for unit in self.units:
            unit.start()

    def named(self, name: str) -> Unit:
        """One of them."""
        return next(unit for unit in self.units if unit.name == name)

    def tend(self) -> None:
        """Start again what is to come back, and what ended by itself, which is a fault."""
        for unit in self.units:
            if unit.process is None:
                if time.time() >= unit.back_at:
                    unit.start()
            elif (code := unit.process.poll()) is not None:
                self.ended.append(f"{unit.name} ended by itself with {code}")
                unit.process, unit.back_at = None, time.time() + 1.0

    def reload(self) -> None:
        """SIGHUP to all that have been up for a while (systemd reloads only what is ready)."""
        for unit in self.units:
            if unit.process is not None and time.time() - unit.since > 60.0:
                unit.process.send_signal(signal.SIGHUP)

    def costs(self) -> dict[str, dict[str, float]]:
        """What each of them costs now, by name; see `cost_of`."""
        found = {}
        for unit in self.units:
            if unit.process is not None and unit.process.poll() is None:
                with contextlib.suppress(OSError):
                    found[unit.name] = {"age_s": time.time() - unit.since, **cost_of(unit.process.pid)}
        return found

    def stop(self) -> None:
        """SIGTERM to all; one that is not gone within 15 s is a fault."""
        for unit in self.units:
            if unit.process is not None:
                unit.process.send_signal(signal.SIGTERM)
        for unit in self.units:
            if unit.process is None:
                continue
            try:
                code = unit.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                unit.process.kill()
                code = unit.process.wait()
            if code:
                self.ended.append(f"{unit.name} was stopped with {code}")
            unit.process = None


def cost_of(pid: int) -> dict[str, float]:
    """Memory (MB: rss, anon, pss), threads, open descriptors, CPU seconds (its children's too) of a process."""
    found: dict[str, float] = {"pid": pid}
    names = {"VmRSS": "rss", "RssAnon": "anon", "Threads": "threads", "Pss": "pss"}
    for file in ("status", "smaps_rollup"):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in names:
                found[names[key]] = int(value.split()[0]) / (1 if key == "Threads" else 1024)
    found["descriptors"] = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    found["cpu_s"] = sum(int(word) for word in words[11:15]) / _TICKS
    return found
