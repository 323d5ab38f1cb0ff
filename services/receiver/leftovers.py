"""What was begun in the inbox and never finished."""

from __future__ import annotations

import stat
import time
from pathlib import Path

from services.core.log import get_logger
from transfer.remotes.base import PART


def remove_old_parts(inbox: Path, max_age_s: float) -> int:
    """Remove unfinished files that nobody has written to for `max_age_s` seconds; how many.

    Their sender still has the bundle: it begins again.
    """
    removed = 0
    for path in inbox.iterdir():
        if not path.name.endswith(PART):
            continue
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < max_age_s:
                continue
            path.unlink()
        except FileNotFoundError:  # finished meanwhile
            continue
        removed += 1
        get_logger().warning("unfinished file removed", file=path.name, bytes=status.st_size)
    return removed
