"""What is told of a night that was verified: a line of the log and a point."""

from __future__ import annotations

from typing import Any

from services.core.metrics.spool import Spool
from transfer.night_answer import NightAnswer


def tell_night(answer: NightAnswer, size: int, seconds: float, log: Any, spool: Spool | None) -> None:
    """Tell; `size` is how many bytes were read in the archive."""
    numbers = {"frames": answer.frames, "holes": len(answer.holes), "bytes": size}
    level = log.error if answer.holes else log.info
    warnings = list(answer.warnings)
    level("night verified", verdict=answer.verdict, **numbers, seconds=round(seconds, 3), warnings=warnings)
    if spool is not None:
        fields = {**numbers, "seconds": seconds, "revision": answer.revision, "warnings": len(warnings)}
        tags = {"from": answer.site, "night": answer.night, "verdict": answer.verdict}
        spool.write("night", fields, tags)
