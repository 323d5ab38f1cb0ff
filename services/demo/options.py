"""How the demo is played."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoOptions:
    """How the demo is played.

    Attributes
    ----------
    data : Path or None
        A directory of real frames; None plays the simulator.
    pace_s : float
        Seconds between two frames on the camera's disk.
    timeout_s : float
        When to give up waiting for the night to end; the pauses between frames come on top.
    chaos : bool
        Kill every daemon once with SIGKILL while the night goes on.
    influx : str or None
        `http://host:port/DATABASE` of an InfluxDB 1.x that takes the metrics; None leaves them in the spools.
    """

    root: Path
    data: Path | None = None
    seed: int = 1
    pace_s: float = 0.1
    timeout_s: float = 240.0
    workers: int = max(1, min(4, (os.cpu_count() or 2)))
    redis_url: str | None = None
    chaos: bool = False
    influx: str | None = None

    def patience_s(self, frames: int) -> float:
        """When to give up a night of so many frames: a slow camera is no fault of the chain."""
        return self.timeout_s + frames * self.pace_s
