"""Every kind of condition, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.conditions import checks, clock, daemons, disks, heartbeat, metrics, queues, sequences, transfer
from services.conditions.base import Eye, Report

LOOKS: Final[tuple[tuple[str, Callable[[Eye], Report]], ...]] = (
    ("daemons", daemons.look),
    ("disks", disks.look),
    ("clock", clock.look),
    ("metrics", metrics.look),
    ("heartbeat", heartbeat.look),
    ("transfer", transfer.look),
    ("queues", queues.look),
    ("checks", checks.look),
    ("sequences", sequences.look),
)
