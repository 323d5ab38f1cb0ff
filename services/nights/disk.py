"""The camera's disk against the ledger: what nobody recorded is taken in, what cannot be is named."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processors.instrument import Instruments
from services.core.ledger import nights, telescope
from services.core.ledger.engine import Ledger, now
from services.core.settings import WatchSettings
from services.watcher.events import Matcher, walk
from services.watcher.intake import NotYet, look, take_in

_AROUND_S: Final = (
    3600.0  # a broken file belongs to the night whose frames were written at most so long before or after
)


@dataclass(frozen=True)
class Unrecorded:
    """A file of the camera that the ledger does not know, or knows with another size or time (ns)."""

    path: str
    size: int
    mtime_ns: int
    reason: str


def unrecorded(watch: WatchSettings, known: Mapping[str, Any]) -> Iterator[Unrecorded]:
    """Files below the watched directories that `known` (rows by path) does not have as they are now."""
    matches = Matcher(watch.patterns)
    for root in watch.dirs:
        for entry in walk(root, matches):
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone between the listing and the look
            row = known.get(entry.path)
            if row is None:
                yield Unrecorded(entry.path, stat.st_size, stat.st_mtime_ns, "not on record")
            elif (row.size, row.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
                yield Unrecorded(entry.path, stat.st_size, stat.st_mtime_ns, "changed since it was recorded")


@dataclass(frozen=True)
class Reconciled:
    """What a comparison of the disk with the ledger did: names taken in, and files that are no whole frames."""

    taken: tuple[str, ...]
    broken: tuple[Unrecorded, ...]


def reconcile(
    watch: WatchSettings,
    ledger: Ledger,
    instruments: Instruments,
    stop: threading.Event,
    on_file: Callable[[str], None] = lambda _: None,
) -> Reconciled:
    """Take in every whole frame on the camera's disk that the ledger does not know; may run beside the watcher."""
    with ledger.read() as conn:
        known = nights.file_rows(conn)
    taken, broken = [], []
    for file in unrecorded(watch, known):
        on_file(file.path)
        if fault := _take(file, watch, ledger, instruments, stop):
            broken.append(Unrecorded(file.path, file.size, file.mtime_ns, fault))
        else:
            taken.append(Path(file.path).name)
    return Reconciled(tuple(taken), tuple(broken))


def _take(
    file: Unrecorded, watch: WatchSettings, ledger: Ledger, instruments: Instruments, stop: threading.Event
) -> str | None:
    """Record one file as the watcher does; the reason when it cannot be."""
    if not _is_text(file.path):
        return "its name is not UTF-8"
    if time.time() - file.mtime_ns / 1e9 < watch.settle_s:
        return "still being written"
    try:
        look(file.path)
        frame = take_in(file.path, (file.size, file.mtime_ns), instruments, stop)
    except NotYet as reason:
        return str(reason)
    except OSError as error:
        return f"not readable: {error.strerror}"
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, now())
        telescope.record_file(conn, file.path, file.size, file.mtime_ns, sha256=frame.sha256, reason=None, now=now())
    return None


def set_aside(known: Iterable[Any]) -> Iterator[Unrecorded]:
    """The files that the watcher has set aside, and that are still there as they were (rows of the ledger)."""
    for row in known:
        if row.reason is None:
            continue
        try:
            stat = os.lstat(row.path)
        except OSError:
            continue
        if (stat.st_size, stat.st_mtime_ns) == (row.size, row.mtime_ns):
            yield Unrecorded(row.path, row.size, row.mtime_ns, row.reason)


def of_the_night(files: Iterable[Unrecorded], frames: Iterable[Any]) -> tuple[Unrecorded, ...]:
    """Those broken files that were written while the night's frames were, or within an hour of that.

    A file that cannot be read does not say its night; when it was written does.
    """
    times = [frame.mtime for frame in frames]
    if not times:
        return ()
    first, last = min(times) - _AROUND_S, max(times) + _AROUND_S
    return tuple(sorted((f for f in files if first <= f.mtime_ns / 1e9 <= last), key=lambda file: file.path))


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
