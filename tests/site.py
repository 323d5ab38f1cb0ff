"""A telescope and a data centre in one directory, their daemons as processes: what integration tests play with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection, func, select

from processors.simulator.night import simulate_night
from processors.simulator.options import NightOptions
from services.core.ledger.alert_schema import alerts
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.schema import frames
from services.core.settings import load_settings
from tests.ledgers import lay_sqlite

TINY = NightOptions(
    seed=5,
    detectors=1,
    width=64,
    height=64,
    biases=3,
    darks=0,
    flats=3,
    standards=0,
    dithers=2,
    targets=1,
    filters=("g",),
    hk=False,
)


def tiny_night(out: Path, **changes: Any) -> list[Path]:
    """A night of frames of 64 by 64 pixels: three biases, three flats, two science frames."""
    options = NightOptions(**{**{name: getattr(TINY, name) for name in TINY.__dataclass_fields__}, **changes})
    return [frame.path for frame in simulate_night(out, options)]


class Site:
    """Both hosts. Daemons that were started are stopped by `close`."""

    def __init__(
        self,
        root: Path,
        redis_url: str | None = None,
        centre_ledger: str | None = None,
        routes: dict[str, dict[str, Any]] | None = None,
        receive: dict[str, Any] | None = None,
        **watch: Any,
    ) -> None:
        self.root = root
        self.camera, self.centre = root / "camera", root / "centre"
        self.archive = self.centre / "archive"
        self.state = root / "state"
        for directory in (self.camera, self.centre):
            directory.mkdir(parents=True)
        lay_sqlite(self.state / "ledger.sqlite")
        if centre_ledger is None:
            lay_sqlite(self.centre / "state" / "ledger.sqlite")
        self.write("summit", self._summit(watch, routes or {"centre": {}}))
        self.write("centre", self._centre(redis_url, centre_ledger, receive or {}))
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._ledgers: dict[str, Ledger] = {}

    def _summit(self, watch: dict[str, Any], routes: dict[str, dict[str, Any]]) -> dict[str, Any]:
        timing = {"rescan_s": 1.0, "settle_s": 0.2, "incomplete_after_s": 30.0, **watch}
        route = {"url": f"file://{self.centre}", "batch_frames": 2, "flush_s": 0.5, "poll_s": 0.1, "backoff_max_s": 1.0}
        return {
            "site": "summit",
            "state_dir": str(self.state),
            "ledger": {"url": f"sqlite:///{self.state}/ledger.sqlite"},
            "watch": {"dirs": [str(self.camera)], **timing},
            "routes": {name: {**route, **more} for name, more in routes.items()},
        }

    def _centre(self, redis_url: str | None, ledger_url: str | None, receive: dict[str, Any]) -> dict[str, Any]:
        state = self.centre / "state"
        settings: dict[str, Any] = {
            "site": "centre",
            "state_dir": str(state),
            "archive_dir": str(self.archive),
            "ledger": {"url": ledger_url or f"sqlite:///{state}/ledger.sqlite"},
            "receive": {"root": str(self.centre), "poll_s": 0.2, **receive},
        }
        if redis_url is not None:
            settings["redis"] = {"url": redis_url}
            settings["conduct"] = {"poll_s": 0.1, "sweep_s": 0.5, "sequence_quiet_s": 3.0, "calibration_wait_s": 6.0}
            settings["work"] = {
                "products_dir": str(self.centre / "products"),
                "log_dir": str(self.centre / "tasklogs"),
                "lease_s": 3.0,
                "retry_backoff_s": 0.2,
                "max_attempts": 10,
            }
        return settings

    def write(self, name: str, settings: dict[str, Any]) -> None:
        """Write the settings of a host."""
        (self.root / f"{name}.yaml").write_text(yaml.safe_dump(settings))

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a host, to be changed and written again."""
        found: dict[str, Any] = yaml.safe_load((self.root / f"{name}.yaml").read_text())
        return found

    def run(self, *arguments: str, host: str = "summit", timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end."""
        command = [sys.executable, "-m", "services.cli.main", *arguments, "-c", str(self.root / f"{host}.yaml")]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s)

    def start(self, verb: str, crash_at: str | None = None) -> subprocess.Popen[bytes]:
        """Start a daemon, its log in `VERB.log`; `crash_at` is a step of tests/crash.py at which it dies."""
        host = "summit" if verb in ("watch", "ship") else "centre"
        program = ["services.cli.main"] if crash_at is None else ["tests.crash", crash_at]
        command = [sys.executable, "-m", *program, verb, "-c", str(self.root / f"{host}.yaml")]
        with (self.root / f"{verb}.log").open("ab") as log:
            self.daemons[verb] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.daemons[verb]

    def stop(self, verb: str, number: int = signal.SIGTERM, timeout_s: float = 5.0) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.daemons[verb].send_signal(number)
        code = self.daemons[verb].wait(timeout=timeout_s)
        del self.daemons[verb]  # one that does not end is left to `close`
        return code

    def log(self, verb: str) -> str:
        """What a daemon has said so far."""
        path = self.root / f"{verb}.log"
        return path.read_text() if path.exists() else ""

    def ledger(self, host: str) -> Ledger:
        """The ledger of `summit` or `centre`."""
        if host not in self._ledgers:
            self._ledgers[host] = open_ledger(load_settings(self.root / f"{host}.yaml").ledger)
        return self._ledgers[host]

    def states(self, host: str) -> dict[str, str]:
        """State of every frame on record, by name."""

        def read(conn: Connection) -> dict[str, str]:
            return {row.name: row.state for row in conn.execute(select(frames.c.name, frames.c.state))}

        with self.ledger(host).read() as conn:
            return read(conn)

    def count(self, host: str, state: str) -> int:
        """How many frames are in a state."""
        query = select(func.count()).select_from(frames).where(frames.c.state == state)
        with self.ledger(host).read() as conn:
            return conn.execute(query).scalar_one()

    def open_alerts(self, host: str = "summit") -> dict[str, str]:
        """Messages of the alerts that are not over, by alert."""
        with self.ledger(host).read() as conn:
            return {row.alert: row.message for row in conn.execute(select(alerts).where(alerts.c.open))}

    def archived(self) -> dict[str, bytes]:
        """Every file in the archive, by name; a name that is there twice is a failure."""
        found: dict[str, bytes] = {}
        for path in self.archive_files():
            assert path.name not in found, f"{path.name} twice"
            found[path.name] = path.read_bytes()
        return found

    def archive_files(self) -> Iterator[Path]:
        """Every frame in the archive; no quick looks."""
        for path in sorted(self.archive.rglob("*")):
            if path.is_file() and ".incoming" not in path.parts and "quicklook" not in path.parts:
                yield path

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Wait until something is true; a daemon that ends by itself meanwhile is a failure."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            for verb, process in self.daemons.items():
                assert process.poll() is None, f"{verb} ended: {self.log(verb)[-2000:]}"
            logs = {verb: self.log(verb)[-1500:] for verb in self.daemons}
            assert time.monotonic() < deadline, f"no {what} after {timeout_s} s: {logs}"
            time.sleep(0.05)

    def close(self) -> None:
        """End every daemon that still runs."""
        for process in self.daemons.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=10)
        for ledger in self._ledgers.values():
            ledger.close()
