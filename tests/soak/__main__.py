"""`python -m tests.soak ROOT --minutes 30`: see docs/soak.md. Exit code 1 when something is not accounted for."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from services.demo.ports import free_port
from tests.soak import account, sampling
from tests.soak.faults import Faults
from tests.soak.night import Night
from tests.soak.schedule import Schedule
from tests.soak.servers import Servers
from tests.soak.settings import write_settings
from tests.soak.units import Units

_FRAME_S, _ROW_S, _SAMPLE_S = 2.0, 0.25, 10.0
_HEAL_S = 30.0  # frames go on without faults
_SETTLE_S = 900.0  # at most, until nothing is left


def soak(root: Path, minutes: float) -> list[str]:
    """Play; what is wrong at the end."""
    for name in ("telescope", "centre", "camera", "hk", "logs", "tmp", "simulated"):
        (root / name).mkdir(parents=True)
    servers = Servers(root)
    push_port = free_port()
    write_settings(root, servers, push_port)
    environment = {**os.environ, **servers.smtp.environment, "TMPDIR": str(root / "tmp")}
    units = Units(root, environment)
    night = Night(root, servers, push_port)
    schedule = Schedule(say)
    faults = Faults(root, units, servers, night, schedule, say)
    try:
        servers.start()
        units.start()
        schedule.begin = night.begin = time.time()
        _play(root, minutes, units, servers, night, schedule, faults)
        units.stop()
        return account.faults(root, night, servers, units)
    finally:
        faults.close()
        for unit in units.units:
            unit.kill(0.0)
        servers.stop()


def _play(
    root: Path, minutes: float, units: Units, servers: Servers, night: Night, schedule: Schedule, faults: Faults
) -> None:
    def sample() -> None:
        sampling.take(root, units.costs(), len(night.frames), schedule.begin, servers.redis_port)

    goes_on = (night.write_row, night.push_row, night.write_weather, units.tend, sample)
    schedule.every(_FRAME_S, night.write_frame, 5.0)
    for action, period_s in zip(goes_on, (_ROW_S, 1.0, 1.0, 0.25, _SAMPLE_S), strict=True):
        schedule.every(period_s, action, 4.0)
    faults.plan(60.0 * minutes)
    schedule.run_for(60.0 * minutes)
    say(f"{len(night.frames)} frames, {night.rows} rows; everything heals now")
    night.quiet = True
    schedule.keep(*goes_on, night.write_frame)
    schedule.run_for(_HEAL_S)
    while not night.over:
        night.write_frame()
        schedule.run_for(1.0)
    schedule.keep(*goes_on)
    faults.call("alerts", "mute", "transfer:no_frame", "--for", "1h", "--reason", "the camera is off")
    calm, until = 0, time.time() + _SETTLE_S
    while calm < 3 and time.time() < until:
        schedule.run_for(5.0)
        still = account.left(root, night)
        calm = 0 if still else calm + 1
        if still:
            say(f"left: {still}")
        for night_name in account.nights_in_doubt(root):  # its delivery took longer than the first call waited
            faults.call("endofnight", night_name)
    schedule.keep(units.tend)  # the last rows go through
    schedule.run_for(10.0)
    sample()


def say(text: str) -> None:
    """To whoever looks on."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="an empty directory; everything stays there")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    if options.root.exists() and any(options.root.iterdir()):
        parser.error(f"{options.root} is not empty")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faults = soak(options.root.resolve(), options.minutes)
    sampling.report(options.root, say)
    for fault in faults:
        say(f"WRONG: {fault}")
    say("SOAK FAILED" if faults else "SOAK OK: everything is accounted for")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
