"""What the camera's disk tells us: inotify's events, and the walk that finds what the events missed.

Events are hints, the disk is the truth. inotify drops events when its queue overflows, and sees nothing in a new
directory before the watch is set nor on a network file system; the walk sees everything, later.
"""

from __future__ import annotations

import os
import queue
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from services.core.filesystem import is_network
from services.core.log import get_logger
from services.core.settings import WatchSettings


class Matcher:
    """Which names are frames: the patterns of the settings, never a hidden file (rsync writes `.name.XXXX`)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._pattern = re.compile("|".join(translate(pattern) for pattern in patterns), re.IGNORECASE)

    def __call__(self, name: str) -> bool:
        return not name.startswith(".") and self._pattern.match(name) is not None


def walk(root: Path, matches: Matcher) -> Iterator[os.DirEntry[str]]:
    """Every matching regular file below `root`; directories that vanish meanwhile are passed over."""
    stack = [str(root)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith("."):
                            stack.append(entry.path)
                    elif matches(entry.name) and entry.is_file(follow_symlinks=False):
                        yield entry
        except OSError as error:
            get_logger().warning("directory not readable", path=error.filename, error=error.strerror)


class Events(FileSystemEventHandler):
    """Collects paths from inotify (`close_write`, `moved_to`); a new directory asks for a walk."""

    def __init__(self, settings: WatchSettings, on_news: Callable[[], None]) -> None:
        self._matches = Matcher(settings.patterns)
        self._on_news = on_news
        self._paths: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.walk_wanted = False
        self.polled = settings.events == "polling" or (
            settings.events == "auto" and any(is_network(path) for path in settings.dirs)
        )
        self._observer: Any = None
        if not self.polled:
            self._observer = Observer()
            for path in settings.dirs:
                self._observer.schedule(self, str(path), recursive=True)

    def start(self) -> None:
        """Listen."""
        if self._observer is None:
            return
        try:
            self._observer.start()
        except OSError as error:
            # Out of inotify watches or instances: slower is better than blind.
            get_logger().error("no events, polling instead", reason=str(error))
            self.polled = True
            self._observer = None

    def stop(self) -> None:
        """Listen no more."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=3)

    def alive(self) -> bool:
        """False when the listening thread has died, and only walks find frames."""
        return self._observer is None or self._observer.is_alive()

    def take(self) -> list[Path]:
        """The paths of which news came since the last call."""
        paths = []
        while not self._paths.empty():
            paths.append(Path(self._paths.get()))
        return paths

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called in watchdog's thread."""
        if isinstance(event, FileClosedEvent):
            path = os.fsdecode(event.src_path)
        elif isinstance(event, FileMovedEvent):
            path = os.fsdecode(event.dest_path)
        elif isinstance(event, DirCreatedEvent | DirMovedEvent):
            # Files written before the watch on the new directory was set have made no event.
            self.walk_wanted = True
            self._on_news()
            return
        else:
            return
        if self._matches(Path(path).name):
            self._paths.put(path)
            self._on_news()
