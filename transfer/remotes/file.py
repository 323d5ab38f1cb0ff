"""A remote that is a directory of this host: a backup disk, a mounted share, the demo."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transfer.durable import sync_directory
from transfer.errors import NoSpace, Refused, Unreachable
from transfer.remotes.base import OnBytes
from transfer.remotes.names import safe

_CHUNK = 1 << 20


class FileRemote:
    """`file:///directory`; see `Remote` for what is promised."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which must exist: a backup disk that is not mounted must not be filled from below.

        Raises
        ------
        Unreachable
            `root` is not a directory.
        """
        self._root = root
        if not root.is_dir():
            raise Unreachable(f"file://{root}: no such directory (is the disk mounted?)")

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """See `Remote.put`."""
        target = self._root / safe(name)
        part = target.with_name(target.name + ".part")
        with _told(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            with local.open("rb") as source, part.open("r+b" if part.exists() else "w+b") as sink:
                done = _common_prefix(source, sink)
                source.seek(done)
                sink.seek(done)
                sink.truncate()
                while chunk := source.read(_CHUNK):
                    sink.write(chunk)
                    done += len(chunk)
                    if on_bytes is not None:
                        on_bytes(done)
                sink.flush()
                os.fsync(sink.fileno())
            part.replace(target)
            sync_directory(target.parent)

    def get(self, name: str, limit: int) -> bytes | None:
        """See `Remote.get`."""
        path = self._root / safe(name)
        with _told(str(path)):
            try:
                with path.open("rb") as file:
                    data = file.read(limit + 1)
            except FileNotFoundError:
                return None
        if len(data) > limit:
            raise Refused(f"{path}: larger than {limit} bytes")
        return data

    def names(self, directory: str) -> list[str]:
        """See `Remote.names`."""
        with _told(directory):
            try:
                return sorted(entry.name for entry in (self._root / safe(directory)).iterdir())
            except FileNotFoundError:
                return []

    def remove(self, name: str) -> None:
        """See `Remote.remove`."""
        with _told(name):
            (self._root / safe(name)).unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """See `Remote.free_bytes`."""
        with _told(str(self._root)):
            return shutil.disk_usage(self._root).free

    def close(self) -> None:
        """Nothing is held."""


def _common_prefix(source: object, sink: object) -> int:
    """How many whole chunks of a `.part` left behind are the source's own bytes."""
    done = 0
    while True:
        ours, theirs = source.read(_CHUNK), sink.read(_CHUNK)  # type: ignore[attr-defined]
        if not theirs or ours != theirs:
            return done
        done += len(theirs)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"{what}: {error.strerror}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Refused(f"{what}: {error.strerror}") from error
        raise Unreachable(f"{what}: {error.strerror or error}") from error
