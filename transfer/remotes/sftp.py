"""A remote over SSH (SFTP version 3, paramiko): keys only, known hosts only, a timeout on everything."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from transfer.errors import NoSpace, Refused, TransferError, Unreachable
from transfer.remotes.base import OnBytes
from transfer.remotes.names import safe

if TYPE_CHECKING:
    import paramiko

_CHUNK = 32_768  # the largest write every SFTP server takes (draft-ietf-secsh-filexfer-02, section 3)
_CHECKED_TAIL = 1 << 20  # how much of a `.part` is read back before it is continued


class SftpRemote:
    """`sftp://user@host:port/directory`; see `Remote` for what is promised."""

    def __init__(
        self, host: str, port: int, user: str, root: str, *, key_file: Path, known_hosts: Path, timeout_s: float
    ) -> None:
        """Connect.

        Raises
        ------
        Unreachable, Refused
            See `Remote`; an unknown or changed host key is `Refused`.
        """
        import paramiko

        self._root = PurePosixPath(root)
        self._where = f"sftp://{user}@{host}:{port}"
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
        with self._told("connect"):
            try:
                self._client.load_host_keys(str(known_hosts))
                self._client.connect(
                    host,
                    port,
                    user,
                    key_filename=str(key_file),
                    allow_agent=False,
                    look_for_keys=False,
                    timeout=timeout_s,
                    banner_timeout=timeout_s,
                    auth_timeout=timeout_s,
                    channel_timeout=timeout_s,
                )
                transport = self._client.get_transport()
                assert transport is not None
                transport.set_keepalive(max(1, int(timeout_s / 3)))
                self._sftp: paramiko.SFTPClient = self._client.open_sftp()
                channel = self._sftp.get_channel()
                assert channel is not None
                channel.settimeout(timeout_s)
            except BaseException:
                self._client.close()
                raise

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """See `Remote.put`."""
        target = self._path(name)
        part = f"{target}.part"
        size = local.stat().st_size
        with self._told(name):
            self._make_parents(PurePosixPath(target).parent)
            done = self._continue_from(local, part)
            with local.open("rb") as source, self._sftp.open(part, "r+b" if done else "wb") as sink:
                source.seek(done)
                sink.seek(done)
                # Do not wait for the answer to each write: on a long link that is one round trip per 32 kB.
                sink.set_pipelined(True)
                while chunk := source.read(_CHUNK):
                    sink.write(chunk)
                    done += len(chunk)
                    if on_bytes is not None:
                        on_bytes(done)
            there = self._sftp.stat(part).st_size
            if there != size:
                self._sftp.remove(part)
                raise Unreachable(f"{self._where}: {name} arrived with {there} of {size} bytes")
            self._sftp.posix_rename(part, target)

    def get(self, name: str, limit: int) -> bytes | None:
        """See `Remote.get`."""
        with self._told(name):
            try:
                with self._sftp.open(self._path(name), "rb") as file:
                    data = file.read(limit + 1)
            except FileNotFoundError:
                return None
        if len(data) > limit:
            raise Refused(f"{self._where}: {name} is larger than {limit} bytes")
        return bytes(data)

    def names(self, directory: str) -> list[str]:
        """See `Remote.names`."""
        with self._told(directory):
            try:
                return sorted(self._sftp.listdir(self._path(directory)))
            except FileNotFoundError:
                return []

    def remove(self, name: str) -> None:
        """See `Remote.remove`."""
        with self._told(name), contextlib.suppress(FileNotFoundError):
            self._sftp.remove(self._path(name))

    def free_bytes(self) -> int | None:
        """Unknown: SFTP version 3 has no word for it; the receiver's receipts say it."""
        return None

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(Exception):
            self._client.close()

    def _path(self, name: str) -> str:
        return str(self._root / safe(name))

    def _make_parents(self, directory: PurePosixPath) -> None:
        missing = []
        while directory != self._root and directory != directory.parent:
            try:
                self._sftp.stat(str(directory))
                break
            except FileNotFoundError:
                missing.append(directory)
                directory = directory.parent
        for path in reversed(missing):
            self._sftp.mkdir(str(path))

    def _continue_from(self, local: Path, part: str) -> int:
        """Length of a `.part` that may be continued: its tail is read back and must be ours; else 0."""
        try:
            attributes = self._sftp.stat(part)
        except FileNotFoundError:
            return 0
        length = attributes.st_size or 0
        if not stat.S_ISREG(attributes.st_mode or 0) or not 0 < length <= local.stat().st_size:
            return 0
        start = max(0, length - _CHECKED_TAIL)
        with self._sftp.open(part, "rb") as there, local.open("rb") as here:
            there.prefetch(length)
            there.seek(start)
            here.seek(start)
            # The receiver verifies the whole; this only spares a long link from continuing another file's rest.
            same = hashlib.sha256(there.read(length - start)).digest() == hashlib.sha256(
                here.read(length - start)
            ).digest()
        return length if same else 0

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        import paramiko

        try:
            yield
        except TransferError:
            raise
        except paramiko.BadHostKeyException as error:
            raise Refused(f"{self._where}: the host key has changed: {error}") from error
        except paramiko.AuthenticationException as error:
            raise Refused(f"{self._where}: login refused: {error}") from error
        except paramiko.SSHException as error:
            raise _of_ssh(self._where, what, error) from error
        except (TimeoutError, EOFError, socket.gaierror, ConnectionError) as error:
            raise Unreachable(f"{self._where}: {what}: {error or type(error).__name__}") from error
        except OSError as error:
            raise _of_os(self._where, what, error) from error


def _of_ssh(where: str, what: str, error: Any) -> TransferError:
    text = str(error)
    if "not found in known_hosts" in text:
        return Refused(f"{where}: unknown host key: {text}; add it to known_hosts if it is the right one")
    return Unreachable(f"{where}: {what}: {text}")


def _of_os(where: str, what: str, error: OSError) -> TransferError:
    text = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(f"{where}: {what}: {text}")
    # SFTP version 3 has no code for a full disk: servers say SSH_FX_FAILURE.
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space" in text:
        return NoSpace(f"{where}: {what}: {text}")
    return Unreachable(f"{where}: {what}: {text}")
