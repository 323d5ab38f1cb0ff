"""Which file is which: growing, renamed, replaced, truncated and re-created files told apart by inode and content.

A name says little: `hk.csv` of today is not that of yesterday. A file that is followed is known by its inode, and that
it is still the same by the bytes at its head and before the place that was reached: an inode is given to another file
as soon as the first is deleted.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.housekeeping.directory import Directory, Entry

HEAD: Final = 1024  # bytes
TAIL: Final = 256
FORGET_AFTER_S: Final = 30 * 86_400.0  # a network disk may come back: a file that is gone is remembered for so long
_MOST_OPEN: Final = 64


@dataclass
class Followed:
    """A file and how far it was read. `named` is its name when its first rows were read."""

    key: str
    path: str
    device: int = 0
    inode: int = 0
    named: str = ""
    offset: int = 0
    head: str = ""
    tail: str = ""
    line: int = 0  # lines before `offset`
    rows: int = 0
    gone_at: float | None = None
    more: dict[str, Any] = field(default_factory=dict)  # of whoever reads the file
    # Not stored: size and time of the file when it was last read to its end; its bytes that have no name any more.
    seen: tuple[int, int] | None = None
    nameless: int | None = None

    def position(self) -> dict[str, Any]:
        """What is stored."""
        return {name: value for name, value in self.__dict__.items() if name not in ("key", "seen", "nameless")}

    def begin_again(self) -> None:
        """It is another file now."""
        self.offset = self.line = self.rows = 0
        self.head = self.tail = ""
        self.named = self.path
        self.more = {}
        self.seen = None

    def is_in(self, descriptor: int) -> bool:
        """Whether an open file holds what was read, where it was read."""
        if os.fstat(descriptor).st_size < self.offset:
            return False
        head, tail = fingerprints(descriptor, self.offset)
        return head == self.head and tail == self.tail

    def reached(self, descriptor: int, offset: int) -> None:
        """So far it is read."""
        self.offset = offset
        self.head, self.tail = fingerprints(descriptor, offset)


def fingerprints(descriptor: int, offset: int) -> tuple[str, str]:
    """Digests of the head of a file and of the bytes before an offset."""
    if not offset:
        return "", ""
    head = os.pread(descriptor, min(HEAD, offset), 0)
    tail = os.pread(descriptor, min(TAIL, offset), max(0, offset - TAIL))
    return (hashlib.blake2b(head, digest_size=8).hexdigest(), hashlib.blake2b(tail, digest_size=8).hexdigest())


class Follower:
    """The files of a directory that are followed."""

    def __init__(
        self, directory: Directory, positions: Mapping[str, Mapping[str, Any]], max_age_s: float | None
    ) -> None:
        self._directory = directory
        self._max_age_s = max_age_s
        self.files: dict[str, Followed] = {key: Followed(key, **dict(value)) for key, value in positions.items()}
        self._count = max((int(key) for key in self.files if key.isdigit()), default=0)
        self._open: OrderedDict[tuple[int, int], int] = OrderedDict()
        self.too_old = 0
        self._closed = ""

    @property
    def trouble(self) -> str:
        """A file that could not be read in this look, and why; empty when there is none."""
        return self._closed or self._directory.unreadable

    def look(self, now_s: float) -> tuple[list[Followed], list[str]]:
        """Files to be read, the longest unchanged first, and the keys of files that are forgotten now.

        A file is to be read when its size or time changed since `Followed.seen` was set. One that lost its name has its
        last bytes in `Followed.nameless` when it was still open: they come first, whoever reads them closes it. Then,
        unless the file is gone, what has its name now is the same file when `is_in` says so.
        """
        by_inode = {(file.device, file.inode): file for file in self.files.values()}
        entries = self._directory.look({inode for _, inode in by_inode})
        own = {entry.name: (entry.device, entry.inode) for entry in entries}
        present = set(own.values())
        by_path = {f.path: f for f in self.files.values() if (f.device, f.inode) not in present}
        changed: dict[str, tuple[int, str, Followed]] = {}
        alive: set[str] = set()
        self.too_old = 0
        self._closed = ""
        for entry in entries:
            here = (entry.device, entry.inode)
            file = by_inode.get(here)
            if file is not None and file.path != entry.name and own.get(file.path) == here:
                continue  # a second link: the file is met under its first name
            if file is None and entry.fits:
                file = by_path.get(entry.name) or self._new(entry, now_s)
            if file is None:
                continue
            self._name(file, entry)
            alive.add(file.key)
            if file.nameless is not None or file.seen != (entry.size, entry.mtime_ns):
                changed[file.key] = (entry.mtime_ns, entry.name, file)
        for file in self.files.values():
            if file.key not in alive and file.gone_at is None:
                file.gone_at = now_s
                self._lose_name(file)
                changed[file.key] = (0, file.path, file)
        return [file for _, _, file in sorted(changed.values(), key=lambda item: item[:2])], self._forget(now_s)

    def _name(self, file: Followed, entry: Entry) -> None:
        """The file stands under this entry now."""
        if (file.device, file.inode) != (entry.device, entry.inode):
            self._lose_name(file)
        if file.path != entry.name and not file.rows:
            file.named = entry.name
        file.path, file.device, file.inode, file.gone_at = entry.name, entry.device, entry.inode, None

    def _forget(self, now_s: float) -> list[str]:
        forgotten = [f.key for f in self.files.values() if f.gone_at and now_s - f.gone_at > FORGET_AFTER_S]
        for key in forgotten:
            del self.files[key]
        return forgotten

    def _lose_name(self, file: Followed) -> None:
        file.nameless = self._open.pop((file.device, file.inode), None)

    def _new(self, entry: Entry, now_s: float) -> Followed | None:
        if self._max_age_s is not None and now_s - entry.mtime_ns / 1e9 > self._max_age_s:
            self.too_old += 1
            return None
        self._count += 1
        made = Followed(str(self._count), entry.name, entry.device, entry.inode, named=entry.name)
        self.files[made.key] = made
        return made

    def open(self, file: Followed) -> int | None:
        """A descriptor of the file under its name, kept open for when it is deleted.

        None when it is not there, or must not be read; it is tried again with the next look then.
        """
        key = (file.device, file.inode)
        descriptor = self._open.pop(key, None)
        if descriptor is None:
            try:
                descriptor = os.open(self._directory.path / file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                return None
            except PermissionError as error:
                self._closed = f"{self._directory.path / file.path}: {error.strerror}"
                return None
            stat = os.fstat(descriptor)
            if (stat.st_dev, stat.st_ino) != key:  # replaced since the directory was read: the next look sees it
                os.close(descriptor)
                return None
        self._open[key] = descriptor
        while len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def close(self) -> None:
        """Close every file."""
        for file in self.files.values():
            if file.nameless is not None:
                os.close(file.nameless)
                file.nameless = None
        while self._open:
            os.close(self._open.popitem()[1])
