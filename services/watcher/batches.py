"""Which waiting frames go into a bundle now: a pure decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Waiting(Protocol):
    """A frame that waits for a bundle: when it was first seen, seconds since 1970 UTC."""

    @property
    def created_at(self) -> float: ...


W = TypeVar("W", bound=Waiting)


def due_batches(waiting: Sequence[W], batch_frames: int, flush_s: float, now: float) -> list[Sequence[W]]:
    """Full batches at once; the last, partial one when its oldest frame has waited for `flush_s`.

    Parameters
    ----------
    waiting
        In the order in which they shall go: exposure by exposure.
    """
    full = len(waiting) - len(waiting) % batch_frames
    batches = [waiting[start : start + batch_frames] for start in range(0, full, batch_frames)]
    rest = waiting[full:]
    if rest and now - min(frame.created_at for frame in rest) >= flush_s:
        batches.append(rest)
    return batches
