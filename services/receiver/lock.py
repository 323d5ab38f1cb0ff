"""Who takes what lies in the inbox: the daemon while it runs, an import when it does not."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from services.core.lockfile import locked


def inbox_lock(root: Path) -> AbstractContextManager[bool]:
    """Hold the inbox of `root` for the time of the block; False when another process has it.

    `root` is the account's chroot and so belongs to root (deploy/sshd); the quarantine is the receiver's alone.
    """
    return locked(root / "quarantine" / ".receiver.lock")
