"""What latency is compared with: rsync of the frame and sha256sum of it at the far side, over warm ssh."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.link import Link
from rig.peers import RSYNC, Job
from rig.server import Far

LIMIT_S = 120.0


@dataclass(frozen=True)
class Setting:
    """Where a row is measured."""

    name: str
    far: Far
    link: Link | None
    samples: int
    words: str


def rsync_ms(setting: Setting, frames: Sequence[Path], scratch: Path) -> float:
    """Bring frames over and have the last one hashed there, the least that gives the same certainty: milliseconds."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        source, target = Path(name) / "source", Path(name) / "target"
        source.mkdir()
        target.mkdir()
        for frame in frames:
            shutil.copyfile(frame, source / frame.name)
        hashing = [*setting.far.ssh(0), setting.far.address, f"sha256sum {target / frames[-1].name}"]
        commands = [*RSYNC.commands(Job(setting.far, source, target, scratch, warm=True)), hashing]
        begun = time.perf_counter()
        for command in commands:
            subprocess.run([*setting.far.near, *command], check=True, capture_output=True, timeout=LIMIT_S)
        return 1000 * (time.perf_counter() - begun)
