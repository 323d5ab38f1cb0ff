"""What writes onto the camera's disk in the demo: the simulator, or real frames read out one after the other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from services.core.settings import WatchSettings
from services.demo.layout import Layout
from services.watcher.events import Matcher, walk

PATTERNS: list[str] = list(WatchSettings.model_fields["patterns"].default)


def real_frames(source: Path) -> list[Path]:
    """The frames of a directory, in the order of their names."""
    return sorted(Path(entry.path) for entry in walk(source, Matcher(PATTERNS)))


def play_real(frames: list[Path], source: Path, layout: Layout, pace_s: float, stop: threading.Event) -> Iterator[Path]:
    """Copy real frames onto the camera's disk, keeping their directories; yields each as it is written."""
    for path in frames:
        if stop.wait(pace_s):
            return
        target = layout.camera / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        yield target
