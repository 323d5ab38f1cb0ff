"""One demo for all who look at what it leaves behind: it is played once, by whoever asks first."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.demo.layout import Layout


@dataclass(frozen=True)
class DemoNight:
    """What a demo left behind: its directories, and how its process ended. Look at it only: others do, too."""

    layout: Layout
    returncode: int
    stdout: str
    stderr: str


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Play a demo as a stranger would."""
    command = [sys.executable, "-m", "services.cli.main", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def _once(base: Path, name: str, arguments: Sequence[str]) -> DemoNight:
    """The demo of this name below `base`, played by the first process that comes; the others wait for it."""
    root, record = base / name, base / f"{name}.json"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            result = run_demo("--root", str(root), *arguments)
            said = {"returncode": result.returncode, "stdout": result.stdout, "stderr": result.stderr}
            record.write_text(json.dumps(said), encoding="utf-8")
    return DemoNight(Layout(root), **json.loads(record.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def demo_night(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> DemoNight:
    """A simulated night in which every daemon is killed once; the same one for all workers of a session."""
    base = tmp_path_factory.getbasetemp()
    return _once(base if worker_id == "master" else base.parent, "demo-night", ["--chaos", "--seed", "3"])
