"""A remote behind SSH: `sftp://user@host:port/path`. Host keys are checked, logins are by key."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from transfer.documents import MAX_DOCUMENT
from transfer.errors import BadDocument, NoSpace, TransferError, Unreachable
from transfer.remotes.base import Closing, LinkState, OnBytes, Put, RemoteStat, Throttle, check_remote_name
from transfer.remotes.sftp import scripts
from transfer.remotes.sftp.engine import Engine
from transfer.remotes.sftp.line import Address, Line
from transfer.remotes.sftp.pool import Pool
from transfer.remotes.sftp.task import Script

T = TypeVar("T")
ROOM: Final = 1 << 20  # a disk with less than this is full
SEVERAL_FROM: Final = 1 << 20  # bytes for which more than one connection pays


class SftpRemote(Closing):
    """See `Remote`.

    Parameters
    ----------
    address
        Where to, and as whom; an unknown or changed host key is `HostKeyMismatch`.
    root
        The remote's directory, absolute or relative to the user's home.
    line
        What makes an SSH connection: the transport.
    streams
        How many connections a put may use.
    throttle
        Called with a number of bytes before they are handed to a connection; it may sleep.
    """

    def __init__(
        self,
        address: Address,
        root: str,
        line: Callable[[Address], Line],
        *,
        streams: int = 1,
        throttle: Throttle | None = None,
    ) -> None:
        self._address = address
        self._root = root
        self._engine = Engine(address.timeout_s, throttle)
        self._pool = Pool(lambda: line(address), self._engine, address.timeout_s)
        self._pool.streams = max(1, streams)

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """See `Remote.put`."""
        self.put_all([Put(local, name)], on_bytes)

    def put_all(
        self,
        puts: Iterable[Put],
        on_bytes: OnBytes | None = None,
        on_done: Callable[[Put], None] | None = None,
    ) -> None:
        """See `Remote.put_all`."""
        try:
            self._engine.put_all(puts, on_bytes, on_done, self._prepare)
        except TransferError as error:
            named = self._named("put", error)
            if isinstance(named, Unreachable):
                self.close()
            raise named from error
        finally:
            if self._engine.broken is not None:
                self.close()

    def get_small(self, name: str, limit: int = MAX_DOCUMENT) -> bytes | None:
        """See `Remote.get_small`."""
        return self._run(name, scripts.fetch_small(self._path(name), limit))

    def get_many(self, names: Sequence[str], limit: int = MAX_DOCUMENT) -> dict[str, bytes]:
        """See `Remote.get_many`."""
        paths = [self._path(name) for name in names]
        found: dict[str, bytes] = {}
        for at in range(0, len(names), scripts.AHEAD):
            wanted = slice(at, at + scripts.AHEAD)
            several = scripts.together([scripts.fetch(path, limit) for path in paths[wanted]])
            for name, data in zip(names[wanted], self._run("get", several), strict=True):
                if data is not None:
                    found[name] = data
        return found

    def list(self, directory: str) -> tuple[str, ...]:
        """See `Remote.list`."""
        return self._run(directory, scripts.list_dir(self._path(directory)))

    def stat(self, name: str) -> RemoteStat | None:
        """See `Remote.stat`."""
        found = self._run(name, scripts.stat(self._path(name)))
        return RemoteStat(found.size, float(found.mtime)) if found is not None else None

    def remove(self, name: str) -> None:
        """See `Remote.remove`."""
        self._run(name, scripts.remove(self._path(name)))

    def free_bytes(self) -> int | None:
        """See `Remote.free_bytes`."""
        return self._run("the remote", scripts.free_bytes(self._root or "."))

    def link(self) -> LinkState | None:
        """See `Remote.link`."""
        return self._pool.link()

    def set_streams(self, streams: int) -> None:
        """See `Remote.set_streams`."""
        self._pool.streams = max(1, streams)

    def close(self) -> None:
        """See `Remote.close`; ends all threads and children."""
        self._pool.close()

    def _prepare(self, put: Put) -> str:
        """The path of a put, with a connection made, or more where there is more to send."""
        path = self._path(put.name)
        size = put.local.stat().st_size  # an error of a local file comes before anything is connected
        if size > SEVERAL_FROM or self._engine.busy:
            self._pool.need_all()
        else:
            self._pool.need_one()
        return path

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, check_remote_name(name))

    def _run(self, name: str, script: Script[T]) -> T:
        try:
            self._pool.need_one()
            return self._engine.run(script)
        except TransferError as error:
            named = self._named(name, error)
            if isinstance(named, Unreachable):
                self.close()
            raise named from error

    def _named(self, name: str, error: TransferError) -> TransferError:
        """An error as the caller knows it, with the place where it happened."""
        if isinstance(error, BadDocument):
            return error
        kind: type[TransferError] = type(error)
        if isinstance(error, scripts.ServerFailure) and self._engine.broken is None and name != "the remote":
            kind = NoSpace if self._is_full() else Unreachable
        elif isinstance(error, (scripts.NotThere, scripts.ServerFailure)):
            kind = Unreachable
        text = str(error)
        place = f"sftp://{self._address.user}@{self._address}: "
        return kind(text if str(self._address) in text else place + text)

    def _is_full(self) -> bool:
        try:
            free = self._engine.run(scripts.free_bytes(self._root or "."))
        except TransferError:
            return False
        return free is not None and free < ROOM
