"""From an address to a remote."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from transfer.errors import Refused
from transfer.remotes.base import Remote


def open_remote(url: str, *, key_file: Path | None, known_hosts: Path | None, timeout_s: float) -> Remote:
    """Connect to `file:///directory` or `sftp://user@host[:port]/directory`.

    Raises
    ------
    Unreachable, Refused
        See `Remote`.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        from transfer.remotes.file import FileRemote

        return FileRemote(Path(unquote(parts.path)))
    if parts.scheme != "sftp" or not parts.hostname or not parts.username:
        raise Refused(f"{url}: expected file:///directory or sftp://user@host[:port]/directory")
    if key_file is None or known_hosts is None:
        raise Refused(f"{url}: sftp needs a key file and a known_hosts file")
    from transfer.remotes.sftp import SftpRemote

    return SftpRemote(
        parts.hostname,
        parts.port or 22,
        unquote(parts.username),
        unquote(parts.path),
        key_file=key_file,
        known_hosts=known_hosts,
        timeout_s=timeout_s,
    )
