"""A host with the housekeeper as a process: what its integration tests play with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Row, select

from services.core.ledger.alert_schema import alerts
from services.core.ledger.engine import Ledger, open_ledger
from services.core.metrics.blocks import text_of
from services.core.metrics.spool import open_spool
from services.core.settings import load_settings
from services.housekeeping.store import Last, Store, StoreUnreachable, open_store
from tests.ledgers import lay_sqlite


class HkSite:
    """Settings, limits, directories, and the daemon; what runs is stopped by `close`."""

    def __init__(self, root: Path, sources: dict[str, Any], limits: dict[str, Any] | None = None) -> None:
        self.root = root
        self.hk = root / "hk"
        self.hk.mkdir(parents=True)
        self.state = root / "state"
        section: dict[str, Any] = {"sources": sources, "poll_s": 0.05}
        if limits is not None:
            section["limits"] = str(root / "limits.yaml")
            self.write_limits(limits)
        settings = {
            "site": "summit",
            "state_dir": str(self.state),
            "ledger": {"url": lay_sqlite(self.state / "ledger.sqlite")},
            "housekeep": section,
        }
        (root / "summit.yaml").write_text(yaml.safe_dump(settings))
        self.process: subprocess.Popen[bytes] | None = None
        self._ledger: Ledger | None = None

    def write_limits(self, limits: dict[str, Any] | str) -> None:
        """The limits file."""
        text = limits if isinstance(limits, str) else yaml.safe_dump({"sources": limits})
        (self.root / "limits.yaml").write_text(text)

    def start(self, crash_at: str | None = None) -> subprocess.Popen[bytes]:
        """Start the housekeeper; `crash_at` is a step of tests/crash.py at which it dies."""
        program = ["services.cli.main"] if crash_at is None else ["tests.crash", crash_at]
        command = [sys.executable, "-m", *program, "housekeep", "-c", str(self.root / "summit.yaml")]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.process

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=10)
        self.process = None
        return code

    def log(self) -> str:
        """What it has said so far."""
        return (self.root / "log").read_text()

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Wait until something is true; a daemon that ends by itself meanwhile is a failure."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process is None or self.process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < deadline, f"no {what}: {self.log()[-3000:]}"
            time.sleep(0.03)

    def wait_for(self, source: str, parameter: str, value: float) -> None:
        """Wait until a parameter's last value that is safe is this one."""

        def is_there() -> bool:
            one = self.last().get((source, parameter))
            return one is not None and one.value == value

        self.wait(is_there, f"{source} {parameter} = {value}")

    def last(self) -> dict[tuple[str, str], Last]:
        """Last values, of a daemon that may not have made its file yet."""
        try:
            store = self.store()
        except StoreUnreachable:
            return {}
        found = {(one.source, one.parameter): one for one in store.last()}
        store.close()
        return found

    def watched(self, source: str) -> tuple[int, int]:
        """Since when the limits of a source are watched, and until when, as it is stored; zeros when it is not."""
        try:
            store = self.store()
        except StoreUnreachable:
            return 0, 0
        state = store.state("limits")
        store.close()
        if state is None:
            return 0, 0
        silence = state["sources"][source]["silence"]
        return silence["begun_ns"], silence["tick_ns"]

    def store(self) -> Store:
        """The housekeeper's file, to be read."""
        return open_store(self.state / "housekeeping.sqlite", readonly=True)

    def lines(self, measurement: str = "housekeeping") -> Counter[str]:
        """Lines in the metrics spool, and how often each stands there."""
        spool = open_spool(load_settings(self.root / "summit.yaml"))
        with spool.reading() as connection:
            bodies = [row[0] for row in connection.execute("SELECT body FROM blocks ORDER BY id")]
        spool.close()
        lines = [text for body in bodies for text in text_of(body).decode().splitlines()]
        return Counter(text for text in lines if text.startswith(f"{measurement},"))

    def alerts(self) -> dict[str, Row]:
        """Every alert of the ledger."""
        if self._ledger is None:
            self._ledger = open_ledger(load_settings(self.root / "summit.yaml").ledger)
        with self._ledger.read() as conn:
            return {row.alert: row for row in conn.execute(select(alerts))}

    def close(self) -> None:
        """End what runs."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
        if self._ledger is not None:
            self._ledger.close()
