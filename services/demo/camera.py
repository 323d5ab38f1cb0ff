"""What writes onto the camera's disk in the demo: the simulator, or real frames read out one after the other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.core.settings import WatchSettings
from services.demo.layout import Layout
from services.demo.options import DemoOptions
from services.demo.watchmen import FAULT
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


def night_options(options: DemoOptions) -> Any:
    """What the simulator plays."""
    from processors.simulator.options import NightOptions

    return NightOptions(seed=options.seed, faults=(FAULT,))


class Camera:
    """The camera's thread: writes frames in its own time."""

    def __init__(self, options: DemoOptions, layout: Layout, frames: list[Path], stop: threading.Event) -> None:
        self.error: Exception | None = None
        self.finished = False
        self._options = options
        self._layout = layout
        self._frames = frames
        self.stop = stop
        self.expected = len(frames) if options.data is not None else night_options(self._options).exposures
        self.thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def _run(self) -> None:
        try:
            for _ in self._play():
                if self.stop.is_set():
                    return
            self.finished = True
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self.error = error

    def _play(self) -> Iterator[object]:
        options = self._options
        if options.data is not None:
            yield from play_real(self._frames, options.data, self._layout, options.pace_s, self.stop)
            return
        from processors.simulator.night import simulate_night

        for frame in simulate_night(
            self._layout.camera, night_options(self._options), truth=self._layout.truth, write="plain"
        ):
            yield frame
            if self.stop.wait(options.pace_s):
                return
