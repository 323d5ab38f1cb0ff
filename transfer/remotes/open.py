"""A URL → a remote."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from transfer.errors import Refused
from transfer.remotes.base import Remote


def open_remote(url: str, *, key_file: Path | None, known_hosts: Path | None, timeout_s: float) -> Remote:
    """The remote of a URL: `file:///path` or `sftp://user@host[:port]/path` (`/~/path` is below the user's home).

    Nothing is connected yet. Refused when the URL is not one of these, or sftp lacks its key or its known hosts.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 22
    except ValueError as error:
        raise Refused(f"{url}: {error}") from error
    path = unquote(parts.path)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and path.startswith("/"):
        from transfer.remotes.file import FileRemote

        return FileRemote(Path(path))
    if parts.scheme == "sftp":
        if not parts.hostname or not parts.username or parts.password or not path:
            raise Refused(f"{_without_password(url)}: expected sftp://user@host[:port]/path, and no password")
        if key_file is None or known_hosts is None:
            raise Refused(f"{url}: sftp needs a key file and a known_hosts file")
        from transfer.remotes.sftp import SftpRemote

        root = path.removeprefix("/~/") if path.startswith("/~/") else path
        return SftpRemote(
            parts.hostname,
            port,
            unquote(parts.username),
            root,
            key_file=key_file,
            known_hosts=known_hosts,
            timeout_s=timeout_s,
        )
    raise Refused(f"{url}: expected file:///path or sftp://user@host[:port]/path")


def _without_password(url: str) -> str:
    return url.split("://", 1)[0] + "://…@" + url.rsplit("@", 1)[-1]
