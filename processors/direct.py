"""Writing large files past the page cache (O_DIRECT)."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import BinaryIO, Final

_ROOM: Final = 4 << 20  # bytes at a time; memory and length fit every block size
_CANNOT: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class DirectWriter:
    """Gathers bytes in a buffer and writes whole ones past the page cache; `finish` writes the rest."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._room = memoryview(mmap.mmap(-1, _ROOM))  # begins on a page, as the kernel wants it
        self._used = 0

    @classmethod
    def on(cls, path: Path, file: BinaryIO) -> DirectWriter | None:
        """A writer of an open, empty file; None where its file system cannot."""
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_DIRECT))
            _switch(file.fileno(), os.O_DIRECT)
        except OSError as error:
            if error.errno in _CANNOT:
                return None
            raise
        return cls(file.fileno())

    def write(self, data: bytes, /) -> int:
        """Take all of the bytes (OSError when the disk is full)."""
        at = 0
        while at < len(data):
            some = min(len(data) - at, _ROOM - self._used)
            self._room[self._used : self._used + some] = data[at : at + some]
            self._used += some
            at += some
            if self._used == _ROOM:
                self._put()
        return len(data)

    def finish(self) -> None:
        """Write what is left, whose length no longer fits blocks; fsync is up to the caller."""
        _switch(self._descriptor, 0)
        self._put()

    def _put(self) -> None:
        done = 0
        while done < self._used:
            done += os.write(self._descriptor, self._room[done : self._used])
        self._used = 0


def _switch(descriptor: int, direct: int) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, (flags & ~os.O_DIRECT) | direct)
