"""In which order frames go: whole exposures, the important before the rest, live before backlog. Pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.core.ledger.shipping import ExposureKey
from services.core.route_settings import Match

CALIBRATIONS: Final = frozenset({"bias", "dark", "flat", "skyflat", "arc", "focus", "test"})


class Waiting(Protocol):
    """A frame's row in the ledger, as far as its turn depends on it; times in seconds since 1970 UTC."""

    @property
    def sha256(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def instrument(self) -> str: ...
    @property
    def night(self) -> str: ...
    @property
    def expid(self) -> int: ...
    @property
    def obstype(self) -> str: ...
    @property
    def identity(self) -> Mapping[str, Any]: ...
    @property
    def created_at(self) -> float: ...


@dataclass(frozen=True)
class Turn:
    """What decides whose turn it is.

    Attributes
    ----------
    priority
        Frames that match an earlier one go before those that match a later one or none.
    newest_first
        The newest exposure first (serial); otherwise the oldest of the live ones, then the oldest of the backlog.
    science_first
        The receiver is behind: calibrations go last.
    live_s : float
        A frame seen less than this long ago is live, an older one is backlog.
    """

    priority: tuple[Match, ...] = ()
    newest_first: bool = False
    science_first: bool = False
    live_s: float = 600.0


@dataclass(frozen=True)
class Exposure:
    """The waiting frames of one exposure, in the order of their names; `complete` when all its detectors are there."""

    key: ExposureKey
    frames: tuple[Waiting, ...]
    complete: bool
    started: bool

    @property
    def first_at(self) -> float:
        """When its first frame was seen."""
        return min(frame.created_at for frame in self.frames)

    @property
    def last_at(self) -> float:
        """When its last frame was seen."""
        return max(frame.created_at for frame in self.frames)


def key_of(frame: Waiting) -> ExposureKey:
    """The exposure that a frame belongs to."""
    return frame.instrument, frame.night, frame.expid


def exposures(waiting: Iterable[Waiting], started: Iterable[ExposureKey] = ()) -> list[Exposure]:
    """Group frames by exposure; `started` are those of which some frames went before."""
    groups: dict[ExposureKey, list[Waiting]] = {}
    for frame in waiting:
        groups.setdefault(key_of(frame), []).append(frame)
    begun = set(started)
    return [
        Exposure(
            key, tuple(sorted(frames, key=lambda frame: (frame.name, frame.sha256))), _complete(frames), key in begun
        )
        for key, frames in groups.items()
    ]


def in_order(groups: Iterable[Exposure], turn: Turn, now: float) -> list[Exposure]:
    """Exposures in the order in which they go; one that was begun is finished before the next one starts."""

    def turn_of(group: Exposure) -> tuple[Any, ...]:
        rank = min(rank_of(frame, turn) for frame in group.frames)
        backlog = now - group.last_at > turn.live_s
        age = -group.last_at if turn.newest_first else group.first_at
        return (not group.started, rank, backlog and not turn.newest_first, age, group.key)

    return sorted(groups, key=turn_of)


def rank_of(frame: Waiting, turn: Turn) -> int:
    """Place of a frame in the priorities, 0 the first; with `science_first` calibrations stand behind everything."""
    identity = {**frame.identity, "obstype": frame.obstype, "instrument": frame.instrument}
    rank = next((index for index, match in enumerate(turn.priority) if match.holds(identity)), len(turn.priority))
    if turn.science_first and frame.obstype in CALIBRATIONS:
        rank += len(turn.priority) + 1
    return rank


@dataclass(frozen=True)
class PackedBundle:
    """A bundle in the outbox and the frames in it; one whose frames are a follow-up goes after all the others."""

    bundle: str
    created_at: float
    frames: tuple[Waiting, ...]
    follow_up: bool = False


def ship_order(bundles: Sequence[PackedBundle], turn: Turn, now: float, begun: Iterable[ExposureKey] = ()) -> list[str]:
    """Names of bundles in the order in which they go: those of one exposure together, in the order they were packed."""
    members: dict[ExposureKey, list[Waiting]] = {}
    for bundle in bundles:
        for frame in bundle.frames:
            members.setdefault(key_of(frame), []).append(frame)
    whole = exposures((frame for frames in members.values() for frame in frames), begun)
    place = {group.key: index for index, group in enumerate(in_order(whole, turn, now))}

    def turn_of(bundle: PackedBundle) -> tuple[Any, ...]:
        first = min((place[key_of(frame)] for frame in bundle.frames), default=len(place))
        return bundle.follow_up, first, bundle.created_at, bundle.bundle

    return [bundle.bundle for bundle in sorted(bundles, key=turn_of)]


def _complete(frames: Sequence[Waiting]) -> bool:
    detectors: set[str] = set()
    expected = 0
    for frame in frames:
        detectors.update(frame.identity.get("detectors") or ())
        expected = max(expected, int(frame.identity.get("expected_detectors") or 1))
    # A mosaic file that lacks a detector will never have it: waiting for more helps only when files are single.
    return len(detectors) >= expected or any(len(frame.identity.get("detectors") or ()) > 1 for frame in frames)
