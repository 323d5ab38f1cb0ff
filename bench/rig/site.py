"""A telescope and a data centre with the real daemons as processes, each at its end of the link."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from rig.link import Link
from rig.processes import start, stop
from rig.server import Far
from services.core.route_settings import RouteSettings

SUMMIT, CENTRE = "summit", "centre"


@dataclass(frozen=True)
class Steps:
    """When a frame's bundle was begun, was durable at the centre, and its receipt known here: seconds since 1970."""

    packed: float
    received: float
    known: float


def modes() -> tuple[str, ...]:
    """The modes of a route that ship at once, of this version."""
    known = getattr(RouteSettings.model_fields["mode"].annotation, "__args__", ())
    return tuple(mode for mode in known if mode != "endofnight")


class Site:
    """Both hosts; `close` ends the daemons.

    Parameters
    ----------
    route
        Settings of the route; those that this version does not have are left out.
    """

    def __init__(self, root: Path, far: Far, link: Link | None, **route: Any) -> None:
        self.root, self.camera, self._state = root, root / "camera", root / "state"
        self._near, self._far = (link.near, link.far) if link else ((), ())
        self.outbox = self._state / "outbox" / CENTRE
        self._shipped = self._state / "shipped" / CENTRE
        self._daemons: dict[str, subprocess.Popen[str]] = {}
        self._read: set[str] = set()
        self._receipts: dict[str, Steps] = {}
        centre = root / CENTRE
        for directory in (self.camera, centre):
            directory.mkdir(parents=True)
        known = {key: value for key, value in route.items() if key in RouteSettings.model_fields}
        place = {"url": far.url(centre), "key_file": str(far.key_file), "known_hosts": str(far.known_hosts)}
        self._write(
            SUMMIT,
            state_dir=str(self._state),
            ledger={"url": f"sqlite:///{self._state}/ledger.sqlite"},
            watch={"dirs": [str(self.camera)]},
            routes={CENTRE: {**place, **known}},
        )
        self._write(
            CENTRE,
            state_dir=str(centre / "state"),
            archive_dir=str(centre / "archive"),
            ledger={"url": f"sqlite:///{centre}/state/ledger.sqlite"},
            receive={"root": str(centre)},
        )

    def _write(self, site: str, **settings: Any) -> None:
        (self.root / f"{site}.yaml").write_text(yaml.safe_dump({"site": site, **settings}), encoding="utf-8")

    def start(self, *verbs: str) -> None:
        """Start daemons, and wait until each says that it is ready."""
        for verb in verbs:
            site, prefix = (CENTRE, self._far) if verb == "receive" else (SUMMIT, self._near)
            command = [*prefix, sys.executable, "-m", "services.cli.main", verb, "-c", self.root / f"{site}.yaml"]
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent.parent)}
            with self._log(verb).open("ab") as log:
                self._daemons[verb] = start(command, stdout=log, stderr=log, env=environment)
        self.wait(lambda: all(self._ready(verb) for verb in verbs), 60.0, f"{', '.join(verbs)} ready")

    def _ready(self, verb: str) -> bool:
        return '"ready"' in self._log(verb).read_text(encoding="utf-8")

    def _log(self, verb: str) -> Path:
        return self.root / f"{verb}.log"

    def wait(self, condition: Callable[[], object], limit_s: float, what: str) -> None:
        """Until something is true; SystemExit with the daemons' last words when it is not in time, or one ends."""
        deadline = time.monotonic() + limit_s
        while not condition():
            for verb, process in self._daemons.items():
                if process.poll() is not None:
                    raise SystemExit(f"{verb} ended: {self._last_words(verb)}")
            if time.monotonic() > deadline:
                words = "; ".join(f"{verb}: {self._last_words(verb)}" for verb in self._daemons)
                raise SystemExit(f"after {limit_s:g} s not yet: {what}; {words}")
            time.sleep(0.02)

    def _last_words(self, verb: str) -> str:
        lines = self._log(verb).read_text(encoding="utf-8").strip().splitlines()
        return lines[-1][:400] if lines else "no word"

    def seen(self) -> int:
        """Frames on the telescope's record."""
        path = self._state / "ledger.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as ledger:
            return int(ledger.execute("select count(*) from frames").fetchone()[0])

    def waiting(self) -> int:
        """Bundles in the outbox."""
        return len(list(self.outbox.glob("*.json")))

    def receipts(self) -> dict[str, Steps]:
        """What is known of each frame whose good receipt is in the shipper's hands, by the frame's name."""
        for path in self._shipped.glob("*.receipt.json"):
            manifest = self._shipped / path.name.replace(".receipt.json", ".json")
            if path.name in self._read or not manifest.exists():
                continue
            self._read.add(path.name)
            receipt, created = json.loads(path.read_bytes()), json.loads(manifest.read_bytes())["created"]
            if receipt["verdict"] in ("accepted", "duplicate"):
                steps = Steps(_seconds(created), _seconds(receipt["received"]), path.stat().st_mtime)
                self._receipts |= dict.fromkeys((frame["name"] for frame in receipt["frames"]), steps)
        return self._receipts

    def close(self) -> None:
        """End the daemons."""
        for process in self._daemons.values():
            process.terminate()  # all at once: each takes its time
        for process in self._daemons.values():
            stop(process)


def _seconds(when: str) -> float:
    return datetime.fromisoformat(when).timestamp()
