"""A remote that is a mounted directory: `file:///path`."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from transfer.checksum import CHUNK
from transfer.documents import MAX_DOCUMENT
from transfer.durable import FULL, fsync_dir, make_dirs, publish
from transfer.errors import BadDocument, NoSpace, Refused, Unreachable
from transfer.remotes.base import (
    PART,
    Closing,
    LinkState,
    OnBytes,
    Put,
    RemoteStat,
    Throttle,
    check_remote_name,
    resume_offset,
)

NEVER: Final = {  # waiting does not help
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


class FileRemote(Closing):
    """See `Remote`; the root itself is never made, so that a disk that is not mounted is `Unreachable`."""

    def __init__(self, root: Path, throttle: Throttle | None = None) -> None:
        self._root = root
        self._throttle = throttle

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """See `Remote.put`."""
        final = self._path(name)
        part = final.with_name(final.name + PART)
        with local.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            with self._named_errors(name):
                make_dirs(final.parent)
                with part.open("ab+") as target:
                    there = target.tell()
                    done = resume_offset(source, size, there, lambda at, length: os.pread(target.fileno(), length, at))
                    if done != there:
                        target.truncate(done)
                    source.seek(done)
                    _told(on_bytes, done)
                    while chunk := source.read(CHUNK):
                        if self._throttle is not None:
                            self._throttle(len(chunk))
                        target.write(chunk)
                        _told(on_bytes, len(chunk))
                if part.stat().st_size != size:
                    raise Unreachable(f"{name}: {part.stat().st_size} bytes arrived of {size}")
                publish(part, final)

    def put_all(
        self,
        puts: Iterable[Put],
        on_bytes: OnBytes | None = None,
        on_done: Callable[[Put], None] | None = None,
    ) -> None:
        """See `Remote.put_all`; one after the other, which is what disks like."""
        for first in puts:
            put: Put | None = first
            while put is not None:
                size = put.local.stat().st_size
                there = self.stat(put.name) if put.skip_same_size else None
                if there is None or there.size != size:
                    self.put(put.local, put.name, on_bytes)
                else:
                    _told(on_bytes, size)
                if on_done is not None:
                    on_done(put)
                put = put.then

    def get_many(self, names: Sequence[str], limit: int = MAX_DOCUMENT) -> dict[str, bytes]:
        """See `Remote.get_many`."""
        found = ((name, self._read(name, limit)) for name in names)
        return {name: data for name, data in found if data is not None}

    def link(self) -> LinkState | None:
        """See `Remote.link`."""
        return None

    def set_streams(self, streams: int) -> None:
        """See `Remote.set_streams`: a disk has one."""

    def get_small(self, name: str, limit: int = MAX_DOCUMENT) -> bytes | None:
        """See `Remote.get_small`."""
        data = self._read(name, limit)
        if data is not None and len(data) > limit:
            raise BadDocument(f"{name} is larger than {limit} bytes")
        return data

    def list(self, directory: str) -> tuple[str, ...]:
        """See `Remote.list`."""
        path = self._path(directory)
        with self._named_errors(directory):
            try:
                return tuple(sorted(each.name for each in path.iterdir()))
            except FileNotFoundError:
                return ()

    def stat(self, name: str) -> RemoteStat | None:
        """See `Remote.stat`."""
        path = self._path(name)
        with self._named_errors(name):
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
        return RemoteStat(status.st_size, status.st_mtime)

    def remove(self, name: str) -> None:
        """See `Remote.remove`."""
        path = self._path(name)
        with self._named_errors(name), contextlib.suppress(FileNotFoundError):
            path.unlink()
            fsync_dir(path.parent)

    def free_bytes(self) -> int | None:
        """See `Remote.free_bytes`."""
        with self._named_errors("the remote"):
            return shutil.disk_usage(self._root).free

    def _read(self, name: str, limit: int) -> bytes | None:
        path = self._path(name)
        with self._named_errors(name):
            try:
                with path.open("rb") as file:
                    return file.read(limit + 1)
            except FileNotFoundError:
                return None

    def _path(self, name: str) -> Path:
        check_remote_name(name)
        if not self._root.is_dir():
            raise Unreachable(f"{self._root} is not there (not mounted?)")
        return self._root / name

    @contextlib.contextmanager
    def _named_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise NoSpace(f"no space left in {self._root} for {name}") from error
            if error.errno in NEVER:
                raise Refused(f"{self._root / name}: {error.strerror}") from error
            raise Unreachable(f"{self._root / name}: {error.strerror}") from error


def _told(on_bytes: OnBytes | None, count: int) -> None:
    if on_bytes and count:
        on_bytes(count)
