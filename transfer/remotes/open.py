"""A URL → a remote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from transfer.errors import Refused
from transfer.remotes.base import Remote, Throttle
from transfer.remotes.file import FileRemote
from transfer.remotes.sftp.line import Address, Line
from transfer.remotes.sftp.remote import SftpRemote


def open_remote(
    url: str,
    *,
    key_file: Path | None,
    known_hosts: Path | None,
    timeout_s: float,
    transport: Literal["paramiko", "openssh"] = "paramiko",
    streams: int = 1,
    throttle: Throttle | None = None,
) -> Remote:
    """The remote of a URL: `file:///path` or `sftp://user@host[:port]/path` (`/~/path` is below the user's home).

    Nothing is connected yet. Refused when the URL is not one of these, or sftp lacks its key or its known hosts.

    Parameters
    ----------
    key_file, known_hosts
        Our private key without passphrase, and the file with the host's key (sftp only).
    timeout_s
        Longest wait for the other side in any one step.
    transport
        SSH within this process, or a child `ssh` of OpenSSH per connection (sftp only).
    streams
        How many connections a put may use (sftp only).
    throttle
        Called with a number of bytes before they are handed over; may sleep; called from several threads.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 22
    except ValueError as error:
        raise Refused(f"{url}: {error}") from error
    path = unquote(parts.path)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and path.startswith("/"):
        return FileRemote(Path(path), throttle)
    if parts.scheme == "sftp":
        if not parts.hostname or not parts.username or parts.password or not path:
            raise Refused(f"{_without_password(url)}: expected sftp://user@host[:port]/path, and no password")
        if key_file is None or known_hosts is None:
            raise Refused(f"{url}: sftp needs a key file and a known_hosts file")
        if parts.hostname.startswith("-") or unquote(parts.username).startswith("-"):
            raise Refused(f"{url}: a host or a user cannot begin with '-'")
        root = path.removeprefix("/~/") if path.startswith("/~/") else path
        address = Address(parts.hostname, port, unquote(parts.username), key_file, known_hosts, timeout_s)
        return SftpRemote(address, root, _line(transport), streams=streams, throttle=throttle)
    raise Refused(f"{url}: expected file:///path or sftp://user@host[:port]/path")


def _line(transport: Literal["paramiko", "openssh"]) -> Callable[[Address], Line]:
    if transport == "openssh":
        from transfer.remotes.sftp.openssh_line import OpensshLine

        return OpensshLine
    from transfer.remotes.sftp.paramiko_line import ParamikoLine

    return ParamikoLine


def _without_password(url: str) -> str:
    return url.split("://", 1)[0] + "://…@" + url.rsplit("@", 1)[-1]
