"""The exposure log: what is known of an exposure, from the frames that it consists of. Pure."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# The least advanced frame says where an exposure is.
ORDER: Final = (
    *("quarantined", "FAILED", "refused", "held", "seen", "unrouted", "packed", "sent", "shipped"),
    *("arrived", "checking", "checked", "waits", "reducing", "reduced"),
)
FINAL: Final = frozenset({"shipped", "unrouted", "checked", "reduced", "quarantined", "FAILED"})
TROUBLE: Final = frozenset({"quarantined", "FAILED", "refused", "held"})
_VERDICTS: Final = ("error", "warning", "ok")
_DAY_S: Final = 86_400.0


@dataclass(frozen=True)
class FrameLine:
    """A frame as the ledger has it. Times are seconds since 1970 UTC.

    Attributes
    ----------
    place : str
        A word of `ORDER`: its state, or, where that says more, how its task or its bundle stands.
    mtime : float
        When the camera had written it.
    moved_at : float
        When it reached its state.
    verdicts : mapping of verdict to count
        Of its checks.
    values : mapping of name to floats
        `seeing` (arcsec), `sky` (e-/s), `zero_point` (mag of 1 e-/s), one per detector where known.
    """

    sha256: str
    identity: Mapping[str, Any]
    place: str
    mtime: float
    moved_at: float
    verdicts: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Exposure:
    """A line of the exposure log. `delay_s` is None where the shutter's time makes no sense."""

    instrument: str
    night: str
    expid: int
    started: str
    obstype: str
    object: str
    filter: str
    exptime_s: float
    place: str
    frames: int
    detectors: int
    expected: int
    delay_s: float | None
    over: bool
    verdict: str | None
    found: int
    flags: tuple[str, ...]
    seeing: float | None
    sky: float | None
    zero_point: float | None

    def record(self) -> dict[str, Any]:
        """The line as an object."""
        return {"what": "exposure", **{name: getattr(self, name) for name in self.__dataclass_fields__}}


def exposures_of(frames: Sequence[FrameLine], now: float) -> list[Exposure]:
    """The exposure log, in the order in which the shutter opened."""
    groups: dict[tuple[str, int], list[FrameLine]] = {}
    for frame in frames:
        groups.setdefault((frame.identity["instrument"], int(frame.identity["expid"])), []).append(frame)
    made = [_exposure(members, now) for members in groups.values()]
    return sorted(made, key=lambda exposure: (exposure.started, exposure.instrument, exposure.expid))


def closed_at(date_obs: str, exptime_s: float, mtime: float) -> float:
    """When the shutter closed: by the header, or, for a frame that is played again later, when its file was written."""
    try:
        start = dt.datetime.fromisoformat(date_obs)
        closed = (start if start.tzinfo else start.replace(tzinfo=dt.UTC)).timestamp() + exptime_s
    except (ValueError, OverflowError, OSError):
        return mtime
    return closed if abs(mtime - closed) < _DAY_S else mtime


def _exposure(members: Sequence[FrameLine], now: float) -> Exposure:
    first = min(members, key=lambda frame: frame.identity.get("detectors") or [])
    identity = first.identity
    place = min((frame.place for frame in members), key=_rank)
    over = place in FINAL
    exptime = float(identity.get("exptime_s") or 0.0)
    closed = max(closed_at(str(identity.get("date_obs", "")), exptime, frame.mtime) for frame in members)
    delay = (max(frame.moved_at for frame in members) if over else now) - closed
    verdicts: Counter[str] = Counter()
    for frame in members:
        verdicts.update(frame.verdicts)
    worst = next((verdict for verdict in _VERDICTS if verdicts[verdict]), None)
    flags = Counter(flag for frame in members for flag in frame.flags if flag)
    detectors = {detector for frame in members for detector in frame.identity.get("detectors") or ()}
    return Exposure(
        instrument=str(identity["instrument"]),
        night=str(identity["night"]),
        expid=int(identity["expid"]),
        started=str(identity.get("date_obs", "")),
        obstype=str(identity.get("obstype", "")),
        object=str(identity.get("object", "")),
        filter=str(identity.get("filter", "")),
        exptime_s=exptime,
        place=place,
        frames=len(members),
        detectors=len(detectors),
        expected=int(identity.get("expected_detectors") or len(detectors)),
        delay_s=delay if math.isfinite(delay) and delay >= 0 else None,
        over=over,
        verdict=worst,
        found=verdicts[worst] if worst not in (None, "ok") else 0,
        flags=tuple(flag for flag, _ in flags.most_common()),
        seeing=_middle(members, "seeing"),
        sky=_middle(members, "sky"),
        zero_point=_middle(members, "zero_point"),
    )


def _rank(place: str) -> int:
    return ORDER.index(place) if place in ORDER else 0


def _middle(members: Sequence[FrameLine], name: str) -> float | None:
    known = [value for frame in members for value in frame.values.get(name, ()) if math.isfinite(value)]
    return statistics.median(known) if known else None
