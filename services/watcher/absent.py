"""Files that are gone from the camera's disk: forgotten in time, so that what is known does not grow for ever.

Quarantined ones at once, for they need no person any more; those that were taken in after a month. A file that comes
back later is read once more, and its frame is on record all the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from services.core.ledger import telescope
from services.core.ledger.engine import Ledger
from services.core.ledger.engine import now as ledger_time
from services.core.log import get_logger
from services.watcher.notes import Notes

REMEMBERED_S: Final = 30 * 86_400.0
_EVERY_S: Final = 86_400.0
_AT_ONCE: Final = 1000  # others want to write into the ledger too


class Absent:
    """Looks after every walk for quarantined files, and once a day for the others."""

    def __init__(self, ledger: Ledger, notes: Notes) -> None:
        self._ledger = ledger
        self._notes = notes
        self._looked_at = float("-inf")

    def forget(self, roots: Sequence[str], beat: Callable[[], None]) -> list[str]:
        """Forget quarantined files that are gone, and those that were taken in a month ago or earlier; their paths.

        Parameters
        ----------
        roots
            Directories in which a walk has just found something. A disk that is away is not one from which all was
            deleted: to read all of it again would take days.
        beat
            Called for every file that is looked at.
        """
        gone = self._forget_quarantined()
        if time.monotonic() - self._looked_at >= _EVERY_S:
            self._looked_at = time.monotonic()
            gone += self._forget_old(tuple(f"{root.rstrip('/')}/" for root in roots), beat)
        return gone

    def _forget_quarantined(self) -> list[str]:
        with self._ledger.read() as conn:
            gone = [row.path for row in telescope.quarantined_files(conn) if not os.path.lexists(row.path)]
        if gone:
            with self._ledger.begin() as conn:
                for path in gone:
                    telescope.forget_file(conn, path)
        for path in gone:
            self._notes.remove(path)
            get_logger().info("quarantined file is gone", path=path)
        return gone

    def _forget_old(self, below: tuple[str, ...], beat: Callable[[], None]) -> list[str]:
        with self._ledger.read() as conn:
            old = telescope.old_files(conn, ledger_time() - REMEMBERED_S)
        gone = []
        for path in old:
            beat()
            if path.startswith(below) and not os.path.lexists(path):
                gone.append(path)
        for first in range(0, len(gone), _AT_ONCE):
            with self._ledger.begin() as conn:
                for path in gone[first : first + _AT_ONCE]:
                    telescope.forget_file(conn, path)
            beat()
        if gone:
            get_logger().info("files that are gone for a month are forgotten", files=len(gone))
        return gone
