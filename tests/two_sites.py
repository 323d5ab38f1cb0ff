"""A telescope and a centre that miss each other: heartbeats by hand or by daemons, sweeps at the time a test says."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from services.conditions.sweep import Sweeper
from services.core.ledger.heartbeats import heartbeat_rows
from services.core.metrics.spool import Spool
from services.core.settings import load_settings
from services.receiver.heartbeats import Heartbeats
from tests.night_site import NightSite
from transfer.heartbeat import Heartbeat, seal
from transfer.signature import load_private

EVERY = {"every_s": 0.3, "silent_s": 600.0}


class TwoSites:
    """A telescope and a centre with a key; sweeps are called by hand, at the time that a test says."""

    def __init__(self, root: Path) -> None:
        self.night = NightSite(root)
        self.site = self.night.site
        for host in ("summit", "centre"):
            settings = self.site.settings(host)
            quiet = {"disks": None, "clock": {"offset_s": None, "unsynchronised_s": None, "jump_s": None}}
            self.site.write(host, {**settings, "conditions": {**quiet, "no_frame": None, "heartbeat": EVERY}})
        self.night.edit("centre", receive={"status_s": 0.2})
        self.site.archive.mkdir(exist_ok=True)
        (self.site.centre / "inbox").mkdir(exist_ok=True)
        self.key = load_private(root / "night_key")

    def sweep(self, host: str, at: float) -> dict[str, str]:
        """Look at the conditions of a host; its open alerts about heartbeats."""
        settings = load_settings(self.site.root / f"{host}.yaml")
        spool = Spool(settings.metrics_spool, host)
        Sweeper(settings, self.site.ledger(host), spool).sweep(at)
        spool.close()
        return {name: text for name, text in self.site.open_alerts(host).items() if name.startswith("heartbeat:")}

    def rows(self, host: str) -> dict[str, Row]:
        with self.site.ledger(host).read() as conn:
            return heartbeat_rows(conn)

    def receiver(self, **keys: Path) -> Heartbeats:
        """The receiver's ear, called by hand."""
        known = keys or {"summit": self.night.root / "night_key.pub"}
        return Heartbeats(self.site.centre, self.site.ledger("centre"), known, threading.Event())

    def post(self, heartbeat: Heartbeat | bytes, signed: bool = True, name: str = "summit.heartbeat") -> Path:
        """Put a heartbeat into the inbox."""
        data = heartbeat if isinstance(heartbeat, bytes) else seal(heartbeat, self.key if signed else None)
        path = self.site.centre / "inbox" / name
        path.write_bytes(data)
        return path


def heartbeat(at: float, **more: Any) -> Heartbeat:
    plain = Heartbeat("summit", "tolar", int(at * 1000), datetime.fromtimestamp(at, UTC), 60.0, "test")
    return replace(plain, **more)


def channels(two: TwoSites) -> dict[str, Any]:
    """Somebody who could be told, by mail."""
    address = two.site.root / "smtp.url"
    address.write_text("mailto://127.0.0.1:9/?from=a@example.org&to={to}")
    address.chmod(0o600)
    people = {"people": {"anna": {"mail": "anna@example.org"}}, "oncall": {"default": ["anna"]}}
    return {"channels": {"smtp": {"kind": "mail", "url": {"file": str(address)}}}, **people}
