"""Reading a file again: regular files only, and ended by a stop event."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from transfer.checksum import CHUNK

OnBytes = Callable[[int], None]


class Stopped(Exception):
    """It shall stop: nothing is known of this file."""


class NotRegular(OSError):
    """A link, a pipe, a directory: nothing to be read."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links are not followed, pipes not waited for.

    Raises
    ------
    NotRegular
        It is no regular file.
    OSError
        It is not there, or cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise NotRegular(error.errno, "not a regular file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def hash_file(path: Path, stop: threading.Event, on_bytes: OnBytes = lambda _: None) -> str:
    """SHA-256 of a regular file.

    Raises
    ------
    OSError
        As for `open_regular`, or it cannot be read.
    Stopped
        `stop` was set.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK):
            if stop.is_set():
                raise Stopped
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()
