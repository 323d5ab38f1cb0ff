"""The kernel's events of many directories: a file was closed or moved here, a directory is new, events were lost.

Of watchdog we take the reader of the inotify file descriptor (`InotifyFD`, one thread) and not its observer. The
observer asks for every kind of event and hands each through three queues; in a burst the kernel's queue
(`fs.inotify.max_queued_events`) overflows, and a handler is never told. Here the kernel is asked only for what we need,
the reader keeps up, and an overflow is reported.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

_FILE: Final = InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_MOVED_TO
_MASK: Final = Mask(_FILE | InotifyConstants.IN_CREATE | InotifyConstants.IN_ONLYDIR)


class Kind(Enum):
    """What happened."""

    CLOSED = "closed"  # a file was written and closed, or moved here
    DIRECTORY = "directory"  # a directory was made, or moved here
    LOST = "lost"  # the kernel's queue overflowed: only a walk tells what happened


class News(NamedTuple):
    """One event; `path` is empty when events were lost."""

    kind: Kind
    path: str


class Inotify:
    """Listens to directories that are added one by one; not recursive.

    Parameters
    ----------
    matches
        Whether the name of a file or directory is of interest; called, as `tell` is, in the reader's thread.
    tell
        Takes the news.

    Raises
    ------
    OSError
        The kernel grants no more inotify instances.
    """

    def __init__(self, matches: Callable[[str, bool], bool], tell: Callable[[News], None]) -> None:
        self._matches = matches
        self._tell = tell
        self._reader = InotifyFD()
        self._numbers = itertools.count()
        self._directories: dict[WatchDescriptor, tuple[str, CallbackId]] = {}

    def start(self) -> None:
        """Start the reader."""
        self._reader.start()

    def stop(self) -> None:
        """Stop the reader; its watches are gone."""
        self._reader.stop()
        if self._reader.ident is not None:
            self._reader.join(timeout=2)

    def alive(self) -> bool:
        """False when the reader has died."""
        return self._reader.is_alive()

    def add(self, directory: str) -> None:
        """Listen to a directory. Repeat it after a move: a watch belongs to the directory, not to its path.

        What happens between the watch and the note of its path makes no news: read the directory after this call.

        Raises
        ------
        OSError
            It is gone or not a directory, or the kernel grants no more watches (`ENOSPC`).
        """
        number = CallbackId(next(self._numbers))
        watch = self._reader.add_callback(os.fsencode(directory), _MASK, self, number)
        before = self._directories.get(watch)
        self._directories[watch] = directory, number
        if before is not None:
            self._reader.remove_callbacks([(watch, before[1])])

    def on_event(self, event: InotifyEvent) -> None:
        """Called by the reader: one event of a directory."""
        directory = self._directories.get(event.wd)
        is_directory = bool(event.mask & InotifyConstants.IN_ISDIR)
        if directory is None or not (is_directory or event.mask & _FILE):
            return
        name = os.fsdecode(event.name)
        if self._matches(name, is_directory):
            self._tell(News(Kind.DIRECTORY if is_directory else Kind.CLOSED, f"{directory[0]}/{name}"))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Called by the reader: a directory is gone."""
        self._directories.pop(wd, None)

    def on_queue_overflow(self) -> None:
        """Called by the reader: the kernel had to drop events."""
        self._tell(News(Kind.LOST, ""))
