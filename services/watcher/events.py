"""What the camera's disk tells us: the kernel's events, and the walk that finds what the events missed.

Events are hints, the disk is the truth. The kernel drops events when its queue overflows, and sees nothing in a new
directory before the watch is set nor on a network file system; the walk sees everything, later.
"""

from __future__ import annotations

import errno
import os
import queue
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path
from typing import Final

from services.core.filesystem import is_network
from services.core.log import get_logger
from services.core.settings import WatchSettings
from services.watcher.inotify import Inotify, News

_EXHAUSTED: Final = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # what the kernel grants, not the place


class Matcher:
    """Which names are frames: the patterns of the settings, never a hidden file (rsync writes `.name.XXXX`)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._pattern = re.compile("|".join(translate(pattern) for pattern in patterns), re.IGNORECASE)

    def __call__(self, name: str) -> bool:
        return not name.startswith(".") and self._pattern.match(name) is not None


def walk(
    root: str | os.PathLike[str], matches: Matcher, enter: Callable[[str], None] | None = None
) -> Iterator[os.DirEntry[str]]:
    """Every matching regular file below `root`; directories that vanish meanwhile are passed over.

    Parameters
    ----------
    enter
        Called with every directory before it is read. Who starts to listen there misses nothing: what was there before
        is in the listing, what comes later makes an event.
    """
    stack = [os.fspath(root)]
    while stack:
        directory = stack.pop()
        if enter is not None:
            enter(directory)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith("."):
                            stack.append(entry.path)
                    elif matches(entry.name) and entry.is_file(follow_symlinks=False):
                        yield entry
        except OSError as error:
            get_logger().warning("directory not readable", path=error.filename, error=error.strerror)


def in_utf8(path: str) -> bool:
    """Whether a path can stand in the ledger and in a manifest; said at every walk until someone renames the file."""
    try:
        path.encode()
    except UnicodeEncodeError:
        get_logger().error("passed over, its name is not UTF-8", path=ascii(path))
        return False
    return True


class Events:
    """News from the kernel, in order; where `polled` is true it does not tell of all."""

    def __init__(self, settings: WatchSettings, on_news: Callable[[], None]) -> None:
        self._matches = Matcher(settings.patterns)
        self._on_news = on_news
        self._automatic = settings.events == "auto"
        self._polling = settings.events == "polling"
        self._roots = frozenset(os.fspath(path) for path in settings.dirs)
        self._blind: set[str] = set()  # roots from which no events come
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._inotify: Inotify | None = None

    @property
    def polled(self) -> bool:
        """Whether frames may come of which no event tells: short walks then. A disk that comes back ends it."""
        return self._polling or bool(self._blind)

    def start(self) -> None:
        """Listen to the roots; the first walk listens to all directories below."""
        if self._polling:
            return
        try:
            self._inotify = Inotify(self._interesting, self._tell)
        except OSError as error:
            self._poll(error)
            return
        for root in sorted(self._roots):
            self.listen(root)
        self._inotify.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._inotify is not None:
            self._inotify.stop()
            self._inotify = None

    def alive(self) -> bool:
        """False when the listening thread has died, and only walks find frames."""
        return self._inotify is None or self._inotify.alive()

    def listen(self, directory: str) -> None:
        """Listen to a directory, from now on; harmless when we do already.

        Every walk calls this for its root, which may be a mount point: what is mounted there may have gone and come.
        """
        if self._inotify is None:
            return
        is_root = directory in self._roots
        try:
            if is_root and self._automatic and is_network(Path(directory)):
                self._see(directory, "it is on a network file system")
            elif is_root:
                self._inotify.add(directory)
                self._see(directory, "")
            elif not any(directory.startswith(f"{root}/") for root in self._blind):
                self._inotify.add(directory)
        except OSError as error:
            if is_root and error.errno not in _EXHAUSTED:  # away, stale, broken: until it is back
                self._see(directory, error.strerror or str(error))
            elif error.errno not in (errno.ENOENT, errno.ENOTDIR):  # gone again: the walk says so
                self._poll(error)

    def take(self) -> News | None:
        """The oldest news that was not taken yet."""
        try:
            return self._news.get_nowait()
        except queue.Empty:
            return None

    def _poll(self, error: OSError) -> None:
        """Out of watches or instances: slower is better than blind. Events that still come are welcome."""
        if not self._polling:
            get_logger().error("no events, polling instead", reason=str(error))
        self._polling = True

    def _see(self, root: str, trouble: str) -> None:
        if trouble and root not in self._blind:
            self._blind.add(root)
            get_logger().warning("no events of this directory, polling", path=root, reason=trouble)
        elif not trouble and root in self._blind:
            self._blind.discard(root)
            get_logger().info("events of this directory are heard", path=root)

    def _interesting(self, name: str, is_directory: bool) -> bool:
        return not name.startswith(".") if is_directory else self._matches(name)

    def _tell(self, news: News) -> None:
        self._news.put(news)
        self._on_news()
