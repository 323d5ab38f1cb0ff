"""A remote behind SSH: `sftp://user@host:port/path`. Host keys are checked, logins are by key."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat as stat_bits
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from transfer.documents import MAX_DOCUMENT
from transfer.errors import BadDocument, NoSpace, Refused, TransferError, Unreachable
from transfer.remotes.base import PART, Closing, OnBytes, RemoteStat, check_remote_name, resume_offset
from transfer.remotes.login import login, words

if TYPE_CHECKING:
    import paramiko

WRITE: Final = 1 << 20  # bytes handed to the pipeline at once
KEEPALIVE_S: Final = 15
NO_SPACE_WORDS: Final = ("no space", "quota", "disk full")


class SftpRemote(Closing):
    """See `Remote`.

    Parameters
    ----------
    host, port, user, root
        Where to; `root` is absolute, or relative to the user's home.
    key_file
        Private key without passphrase. There are no passwords and no agent.
    known_hosts
        File with the host's key; an unknown or changed key is `Refused`.
    timeout_s
        Longest wait for the other side in any one step.
    """

    def __init__(
        self, host: str, port: int, user: str, root: str, *, key_file: Path, known_hosts: Path, timeout_s: float
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._root = root
        self._key_file = key_file
        self._known_hosts = known_hosts
        self._timeout_s = timeout_s
        self._ssh: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """See `Remote.put`."""
        final = self._path(name)
        with local.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            with self._session(name) as sftp:
                _make_dirs(sftp, posixpath.dirname(final))
                part = final + PART
                there = _stat(sftp, part)

                def tail(offset: int, length: int) -> bytes:
                    with sftp.open(part, "rb") as file:
                        file.seek(offset)
                        return file.read(length)

                done = resume_offset(source, size, there.size if there else 0, tail)
                with sftp.open(part, "r+b" if done else "wb") as target:
                    target.set_pipelined(True)
                    target.seek(done)
                    source.seek(done)
                    if on_bytes and done:
                        on_bytes(done)
                    while chunk := source.read(WRITE):
                        target.write(chunk)
                        if on_bytes:
                            on_bytes(len(chunk))
                    target.set_pipelined(False)
                    target.flush()
                    _fsync(sftp, target)
                arrived = _stat(sftp, part)
                if arrived is None or arrived.size != size:
                    raise Unreachable(f"{name}: {arrived.size if arrived else 0} bytes arrived of {size}")
                sftp.posix_rename(part, final)

    def get_small(self, name: str, limit: int = MAX_DOCUMENT) -> bytes | None:
        """See `Remote.get_small`."""
        path = self._path(name)
        with self._session(name) as sftp:
            try:
                with sftp.open(path, "rb") as file:
                    data = file.read(limit + 1)
            except FileNotFoundError:
                return None
        if len(data) > limit:
            raise BadDocument(f"{name} is larger than {limit} bytes")
        return data

    def list(self, directory: str) -> tuple[str, ...]:
        """See `Remote.list`."""
        path = self._path(directory)
        with self._session(directory) as sftp:
            try:
                return tuple(sorted(sftp.listdir(path)))
            except FileNotFoundError:
                return ()

    def stat(self, name: str) -> RemoteStat | None:
        """See `Remote.stat`."""
        path = self._path(name)
        with self._session(name) as sftp:
            return _stat(sftp, path)

    def remove(self, name: str) -> None:
        """See `Remote.remove`."""
        path = self._path(name)
        with self._session(name) as sftp, contextlib.suppress(FileNotFoundError):
            sftp.remove(path)

    def free_bytes(self) -> int | None:
        """See `Remote.free_bytes`."""
        with self._session("the remote") as sftp:
            try:
                answer = _extended(sftp, b"statvfs@openssh.com", self._root.encode() or b".")
            except OSError as error:
                if "unsupported" in str(error).lower():
                    return None
                raise
            _, fragment, _, _, available = (answer.get_int64() for _ in range(5))
            return int(fragment * available)

    def close(self) -> None:
        """See `Remote.close`."""
        sftp, ssh, self._sftp, self._ssh = self._sftp, self._ssh, None, None
        for part in (sftp, ssh):
            if part is not None:
                with contextlib.suppress(Exception):  # a dead connection has nothing left to say
                    part.close()

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, check_remote_name(name))

    @contextlib.contextmanager
    def _session(self, name: str) -> Iterator[paramiko.SFTPClient]:
        """The connection, with every error named; a broken connection is dropped."""
        import paramiko

        try:
            yield self._connected()
        except TransferError as error:
            if isinstance(error, Unreachable):
                self.close()
            raise
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError) as error:
            self.close()
            raise Unreachable(f"{self._place(name)}: {words(error)}") from error
        except OSError as error:  # what the server answered, which paramiko makes an OSError
            if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise Refused(f"{self._place(name)}: {words(error)}") from error
            if error.errno in {errno.ENOSPC, errno.EDQUOT} or any(
                word in str(error).lower() for word in NO_SPACE_WORDS
            ):
                raise NoSpace(f"{self._place(name)}: {words(error)}") from error
            self._explain(name, error)

    def _explain(self, name: str, error: OSError) -> None:
        """SFTP has one code, 'failure', for a full disk and for everything else: ask how much room there is."""
        try:
            free = self.free_bytes() if error.errno is None and name != "the remote" else None
        except TransferError:
            free = None
        if free is not None and free < WRITE:
            raise NoSpace(f"{self._place(name)}: no space left") from error
        self.close()
        raise Unreachable(f"{self._place(name)}: {words(error)}") from error

    def _place(self, name: str) -> str:
        return f"sftp://{self._user}@{self._host}:{self._port} {name}"

    def _connected(self) -> paramiko.SFTPClient:
        if self._sftp is not None:
            return self._sftp
        import paramiko

        ssh = login(
            self._host,
            self._port,
            self._user,
            key_file=self._key_file,
            known_hosts=self._known_hosts,
            timeout_s=self._timeout_s,
        )
        try:
            transport = ssh.get_transport()
            assert transport is not None
            transport.set_keepalive(KEEPALIVE_S)
            channel = transport.open_session(timeout=self._timeout_s)
            channel.settimeout(self._timeout_s)
            channel.invoke_subsystem("sftp")
            self._ssh, self._sftp = ssh, paramiko.SFTPClient(channel)
        except BaseException:
            ssh.close()
            raise
        return self._sftp


def _extended(sftp: paramiko.SFTPClient, request: bytes, argument: object) -> Any:
    """Send one of OpenSSH's extended requests, for which paramiko has no method; the answer's message."""
    from paramiko.sftp import CMD_EXTENDED

    return sftp._request(CMD_EXTENDED, request, argument)[1]  # type: ignore[attr-defined]


def _stat(sftp: paramiko.SFTPClient, path: str) -> RemoteStat | None:
    try:
        status = sftp.stat(path)
    except FileNotFoundError:
        return None
    return RemoteStat(status.st_size or 0, float(status.st_mtime or 0))


def _make_dirs(sftp: paramiko.SFTPClient, path: str) -> None:
    if not path or path == "/":
        return
    try:
        status = sftp.stat(path)
    except FileNotFoundError:
        _make_dirs(sftp, posixpath.dirname(path))
        with contextlib.suppress(FileExistsError):
            sftp.mkdir(path)
        return
    if not stat_bits.S_ISDIR(status.st_mode or 0):
        raise Refused(f"{path} is no directory on the remote")


def _fsync(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Bring a remote file to the disk where the server can (OpenSSH); the receipt, not this, says that it is safe."""
    with contextlib.suppress(OSError):
        _extended(sftp, b"fsync@openssh.com", file.handle)
