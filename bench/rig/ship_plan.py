"""What the shipping bench was asked for: sizes, turns, limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """Sizes (files × 10^6 bytes), how often, and for how long at most (seconds)."""

    big: tuple[int, float] = (4, 50.0)
    small: tuple[int, float] = (100, 1.0)
    tiny: tuple[int, float] | None = (200, 0.02)
    sustained: tuple[int, float] | None = (10, 50.0)
    decam: tuple[int, int] | None = (4, 3)  # frames, detectors
    lan: tuple[int, float] = (16, 50.0)
    turns: int = 3
    lan_turns: int = 5
    limit_s: float = 90.0
    everyone: bool = True  # all the peers, losses and cold connections, not only rsync


QUICK = Plan((2, 20.0), (30, 1.0), None, None, None, (4, 40.0), 1, 1, 12.0, everyone=False)


@dataclass(frozen=True)
class Bench:
    """What a run of this program was asked for."""

    work: Path
    plan: Plan
    only: str
    congestion: str | None

    def wants(self, name: str) -> bool:
        """Whether a row of this name, or below it, was asked for."""
        return name.startswith(self.only) or self.only.startswith(name)
