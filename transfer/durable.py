"""Files that appear whole or not at all, and stay after a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from transfer.errors import NoSpace

PREFIX = ".tmp-"
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK)


@contextlib.contextmanager
def space_checked(what: str | Path) -> Iterator[None]:
    """Turn a full disk into `NoSpace`; every other error of the system passes."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(f"no space left for {what}") from error
        raise


def fsync_file(path: Path) -> None:
    """Bring a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def fsync_dir(path: Path) -> None:
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # SMB and some FUSE file systems cannot, and are as durable as they are
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def make_dirs(path: Path) -> None:
    """Make a directory and its parents durably; nothing happens when it is there."""
    if path.is_dir():
        return
    make_dirs(path.parent)
    with space_checked(path):
        path.mkdir(exist_ok=True)
    fsync_dir(path.parent)


def temporary(final: Path) -> Path:
    """A name beside `final` that no rescan takes for a finished file."""
    return final.with_name(f"{PREFIX}{secrets.token_hex(8)}")


def publish(tmp: Path, final: Path) -> None:
    """Give a finished temporary file its name, durably, in place of any file that has it.

    Both must be in the same file system.
    """
    with space_checked(final):
        fsync_file(tmp)
        tmp.replace(final)
        fsync_dir(final.parent)


def publish_new(tmp: Path, final: Path) -> None:
    """`publish`, but FileExistsError when the name is taken (the temporary file then stays)."""
    with space_checked(final):
        fsync_file(tmp)
        try:
            os.link(tmp, final)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if final.exists():  # no hard links here: not atomic against a second writer, but still never half a file
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
            tmp.rename(final)
        else:
            fsync_dir(final.parent)
            tmp.unlink()
        fsync_dir(final.parent)


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a small file at once, durably, in place of any file of that name."""
    tmp = temporary(path)
    try:
        with space_checked(path), tmp.open("xb") as file:
            file.write(data)
        tmp.chmod(mode)
        publish(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file within a file system, durably, in place of any file of that name."""
    source.replace(target)
    fsync_dir(target.parent)
    fsync_dir(source.parent)


def remove(path: Path) -> None:
    """Remove a file durably; nothing happens when it is gone."""
    path.unlink(missing_ok=True)
    fsync_dir(path.parent)
