"""The inbox, where anything may lie that its sender could put there."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from transfer.documents import MAX_DOCUMENT, is_bundle_id
from transfer.durable import move, remove
from transfer.errors import Corrupt


def waiting_bundles(root: Path) -> tuple[str, ...]:
    """Ids of the bundles in `root/inbox` whose manifest has arrived, the oldest first. Links and pipes are none."""
    found = []
    for path in (root / "inbox").glob("*.json"):
        try:
            status = path.lstat()
        except FileNotFoundError:  # cleared meanwhile
            continue
        if is_bundle_id(path.stem) and S_ISREG(status.st_mode):
            found.append((status.st_mtime_ns, path.stem))
    return tuple(bundle for _, bundle in sorted(found))


def open_regular(path: Path) -> BinaryIO:
    """Open a file that somebody else has put there: links are not followed, pipes not waited for, devices not touched.

    Raises
    ------
    Corrupt
        It is not a regular file.
    OSError
        FileNotFoundError when there is none; the system does not let us read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO}:  # a link (BSD: EMLINK), a socket
            raise Corrupt(f"{path.name} is not a regular file") from error
        raise
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Corrupt(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


def manifest_sha256(path: Path) -> str:
    """SHA-256 of a manifest as far as a manifest may be long; that of nothing when it is no file."""
    try:
        with open_regular(path) as file:
            return hashlib.sha256(file.read(MAX_DOCUMENT + 1)).hexdigest()
    except (FileNotFoundError, Corrupt):
        return hashlib.sha256().hexdigest()


def set_aside(path: Path, quarantine: Path) -> None:
    """Take a file out of the inbox, into a directory of the quarantine; nothing happens when there is none.

    A link or a pipe holds nothing that a person could want, and is removed; a directory gets a name nobody looks at.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if S_ISREG(mode):
        move(path, quarantine / path.name)
    elif S_ISDIR(mode):
        path.rename(path.with_name(f"not-a-file-{secrets.token_hex(8)}"))  # it is not ours to empty
    else:
        remove(path)
