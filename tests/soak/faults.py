"""What goes wrong in a soak, again and again, and heals each time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.soak.night import Night
from tests.soak.schedule import Schedule
from tests.soak.servers import Servers
from tests.soak.units import Units

# Every so many seconds, first after so many, for so many: which server is away.
_OUTAGES: Final = (
    ("influx", 120.0, 70.0, 20.0),
    ("smtp", 180.0, 100.0, 12.0),
    ("redis", 200.0, 130.0, 6.0),
    ("sshd", 240.0, 160.0, 15.0),
    ("sshd", 1200.0, 840.0, 110.0),  # longer than `heartbeat.silent_s`
)
_AWAY_S: Final = 7.0  # longer than `daemons.dead_s`


@dataclass
class Faults:
    """Puts them on the schedule."""

    root: Path
    units: Units
    servers: Servers
    night: Night
    schedule: Schedule
    note: Callable[[str], None]
    _calls: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def plan(self, seconds: float) -> None:
        """Everything that goes wrong in so many seconds. Each daemon dies once at first; later only one of them."""
        schedule = self.schedule
        for name, period_s, first_s, away_s in _OUTAGES:
            schedule.every(period_s, lambda name=name, away_s=away_s: self._outage(name, away_s), first_s)
        first = min(0.35 * seconds, 600.0)
        for number, unit in enumerate(self.units.units):
            away_s = _AWAY_S if number % 3 == 0 else 1.0
            at = 30.0 + number * first / len(self.units.units)
            schedule.later(at, lambda unit=unit, away_s=away_s: unit.kill(away_s))
        victim = self.units.named("c-work-2")
        schedule.every(240.0, lambda: victim.kill(_AWAY_S), first + 120.0)
        schedule.every(20.0, self.units.reload, 17.0)
        schedule.every(30.0, lambda: self.servers.smtp.answers.extend(["451 later"] * 2), 25.0)
        schedule.every(210.0, self._modem, 95.0)
        schedule.every(300.0, self._camera, 210.0)
        schedule.every(150.0, self._garbage, 60.0)
        mute = ("alerts", "mute", "housekeeping:bench:muted:*", "--for", "18s", "--reason", "soak")
        schedule.every(45.0, lambda: self.call(*mute), 43.0)
        schedule.every(90.0, lambda: self.call("alerts", "ack", "housekeeping:bench:sms:*", "--reason", "soak"), 44.0)
        schedule.every(60.0, lambda: self.call("status", host="centre"), 51.0)
        schedule.every(60.0, self._end_of_night, 55.0)

    def call(self, *arguments: str, host: str = "telescope") -> None:
        """A person's command; nobody waits for it."""
        self._calls = [call for call in self._calls if call[1].poll() is None]
        command = [sys.executable, "-m", "services.cli.main", *arguments, "-c", str(self.root / f"{host}.yaml")]
        with (self.root / "logs" / "cli.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._calls.append((arguments[0], process))

    def close(self) -> None:
        """End what is still being asked."""
        for _, process in self._calls:
            process.kill()
            process.wait()

    def _outage(self, name: str, away_s: float) -> None:
        if self.servers.go_away(name):
            self.note(f"{name} away for {away_s:g} s")
            self.schedule.later(away_s, lambda: self.servers.up(name))

    def _modem(self) -> None:
        self.servers.modem.error = 500
        self.schedule.later(15.0, lambda: setattr(self.servers.modem, "error", None))

    def _camera(self) -> None:
        self.night.camera_off = True
        self.schedule.later(30.0, lambda: setattr(self.night, "camera_off", False))

    def _garbage(self) -> None:
        path = self.root / "camera" / f"broken_{int(time.time())}.fits"
        path.write_bytes(b"SIMPLE  =                    T" + b" " * 3000)
        self.schedule.later(15.0, path.unlink)

    def _end_of_night(self) -> None:
        if self.night.nights > 4:
            self.call("endofnight", self.night.night_name(3))
