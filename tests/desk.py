"""A notify daemon as a process, with a ledger and real channels: what tests of alerts play with."""

from __future__ import annotations

import email.policy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import select

from services.core.ledger.alert_schema import notifications
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, open_ledger
from services.core.settings import LedgerSettings
from tests.ledgers import lay_sqlite

PEOPLE = {
    "anna": {"mail": "anna@example.org", "sms": "+56911111111"},
    "ben": {"mail": "ben@example.org", "sms": "+56922222222"},
}
NO_CONDITIONS = dict.fromkeys(
    ("backlog", "no_frame", "quarantined", "queues", "disks", "daemons", "clock", "checks", "sequences", "heartbeat")
)


class Desk:
    """One host that only notifies. Times are short, so that a test sees hours."""

    def __init__(self, root: Path, mail_url: str, sms_url: str, ledger_url: str | None = None, **alerts: Any) -> None:
        self.root = root
        self.state = root / "state"
        self.file = root / "desk.yaml"
        self.url = ledger_url or lay_sqlite(root / "ledger.sqlite")
        self.processes: list[subprocess.Popen[bytes]] = []
        for name, url in (("smtp", mail_url), ("twilio", sms_url)):
            (root / f"{name}.url").write_text(url)
        self.alerts: dict[str, Any] = {
            "channels": {
                "smtp": {"kind": "mail", "url": {"file": f"{root}/smtp.url"}},
                "twilio": {"kind": "sms", "url": {"file": f"{root}/twilio.url"}},
            },
            "people": PEOPLE,
            "oncall": {"default": ["anna", "ben"]},
            "poll_s": 0.1,
            "group_s": 0.4,
            "group_max_s": 2.0,
            "retry_s": 0.3,
            "retry_max_s": 0.5,
            "send_timeout_s": 5.0,
            **alerts,
        }
        self.write()
        self.ledger: Ledger = open_ledger(LedgerSettings(url=self.url))

    def write(self, file: Path | None = None, state: Path | None = None) -> None:
        """Write the settings, as `alerts` has them now; for another host on the same ledger with its own `state`."""
        document = {
            "site": "desk",
            "state_dir": str(state or self.state),
            "ledger": {"url": self.url},
            "alerts": self.alerts,
            "conditions": {"poll_s": 5.0, **NO_CONDITIONS},
        }
        (file or self.file).write_text(yaml.safe_dump(document, sort_keys=False))

    def start(self, file: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a notify daemon; its log is `notify.log`."""
        command = [sys.executable, "-m", "services.cli.main", "notify", "-c", str(file or self.file)]
        with (self.root / "notify.log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self.processes[-1]

    def kill(self) -> None:
        """End the daemon as a power cut does."""
        self.processes[-1].send_signal(signal.SIGKILL)
        self.processes[-1].wait(timeout=10)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `nightferry alerts …` to its end."""
        command = [sys.executable, "-m", "services.cli.main", "alerts", *arguments, "-c", str(self.file)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    def raised(self, *names: str, severity: int = 1) -> None:
        """Conditions that begin, in one transaction."""
        with self.ledger.begin() as conn:
            for name in names:
                raise_alert(conn, name, f"{name} is out of limits", time.time(), severity)

    def resolved(self, *names: str) -> None:
        """Conditions that are over."""
        with self.ledger.begin() as conn:
            for name in names:
                resolve_alert(conn, name, time.time())

    def queue(self) -> list[tuple[str, str, str, str]]:
        """Every message on record: what, person, kind, state."""
        table = notifications
        query = select(table.c.what, table.c.person, table.c.kind, table.c.state).order_by(table.c.created_at)
        with self.ledger.read() as conn:
            return [tuple(row) for row in conn.execute(query)]

    def settled(self) -> bool:
        """Whether no message waits or is on its way."""
        return all(state in ("sent", "failed", "dropped") for *_, state in self.queue())

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Wait until something is true; a daemon that ends by itself meanwhile is a failure."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            log = (self.root / "notify.log").read_text()[-3000:] if (self.root / "notify.log").exists() else ""
            if self.processes:
                assert self.processes[-1].poll() in (None, -signal.SIGKILL), f"notify ended: {log}"
            assert time.monotonic() < deadline, f"no {what} after {timeout_s} s: {self.queue()} {log}"
            time.sleep(0.05)

    def close(self) -> None:
        """End every daemon that still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=10)
        self.ledger.close()


def subjects(mails: list[Any], to: str) -> list[str]:
    """Subjects of what a person got by mail, in order."""
    parsed = [
        (mail.to, BytesParser(policy=email.policy.default).parsebytes(mail.raw, headersonly=True)) for mail in mails
    ]
    return [str(message["Subject"]) for receivers, message in parsed if to in receivers]
