"""What the daemons under test have put into a metrics spool."""

from __future__ import annotations

import contextlib
from pathlib import Path

from services.core.metrics.drainage import waiting_lines
from services.core.metrics.spool import Spool


def spooled(path: Path, measurement: str = "") -> list[str]:
    """The lines that wait in a spool, of one measurement or all; none when there is no spool yet."""
    if not path.exists():
        return []
    with contextlib.closing(Spool(path, "test")) as spool:
        lines = waiting_lines(spool, 10**9)
    return [line for line in lines if not measurement or line.startswith((f"{measurement},", f"{measurement} "))]
