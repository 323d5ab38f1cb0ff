"""Which waiting frames go into bundles now: a pure decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from services.core.route_settings import RouteSettings
from services.routes.order import Exposure, Turn, Waiting, in_order

T = TypeVar("T")


@dataclass(frozen=True)
class Batching:
    """How frames become bundles.

    Attributes
    ----------
    mode
        batch, serial, parallel or endofnight (`auto` behaves as batch, with the sizes that it has chosen).
    drain : float
        In mode endofnight: frames seen up to this time go (seconds since 1970 UTC).
    """

    mode: str = "batch"
    batch_frames: int = 4
    batch_exposures: int | None = None
    flush_s: float = 30.0
    drain: float = 0.0

    @classmethod
    def of(cls, route: RouteSettings, drain: float) -> Batching:
        """How a route does it."""
        return cls(route.mode, route.batch_frames, route.batch_exposures, route.flush_s, drain)


def due_batches(groups: Sequence[Exposure], how: Batching, turn: Turn, now: float) -> list[tuple[Waiting, ...]]:
    """The bundles to be packed now, in their order.

    An exposure is taken when it is complete, was begun before, or has been quiet for `flush_s` (a detector that never
    comes must not hold the others back). `parallel` takes every frame at once as it comes, alone; `serial` every
    exposure alone; `batch` fills bundles of `batch_frames` frames (or `batch_exposures` exposures) and lets the last,
    partial one go when its oldest frame has waited for `flush_s`.
    """
    if how.mode == "endofnight":
        groups = [_up_to(group, how.drain) for group in groups if group.first_at <= how.drain]
    ordered = in_order(groups, turn, now)
    if how.mode == "parallel":
        return [(frame,) for group in ordered for frame in group.frames]
    ready = [group for group in ordered if _ready(group, how, now)]
    if how.mode == "serial":
        return [batch for group in ready for batch in _cut(group.frames, how.batch_frames)]
    if how.batch_exposures is not None:
        size, parts = how.batch_exposures, _cut(ready, how.batch_exposures)
        batches = [(len(part) == size, tuple(frame for group in part for frame in group.frames)) for part in parts]
    else:
        frames = tuple(frame for group in ready for frame in group.frames)
        batches = [(len(part) == how.batch_frames, part) for part in _cut(frames, how.batch_frames)]
    return [batch for full, batch in batches if full or _overdue(batch, how, now)]


def _ready(group: Exposure, how: Batching, now: float) -> bool:
    return group.complete or group.started or how.mode == "endofnight" or now - group.last_at >= how.flush_s


def _overdue(batch: Sequence[Waiting], how: Batching, now: float) -> bool:
    return how.mode == "endofnight" or now - min(frame.created_at for frame in batch) >= how.flush_s


def _up_to(group: Exposure, drain: float) -> Exposure:
    return replace(group, frames=tuple(frame for frame in group.frames if frame.created_at <= drain))


def _cut(items: Sequence[T], size: int) -> list[tuple[T, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
