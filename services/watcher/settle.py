"""When is a file a frame? Pure decisions over what was seen of it; the watcher looks and acts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path


class Verdict(Enum):
    """What to do with a candidate now."""

    WAIT = "wait"
    LOOK = "look"  # quiet for long enough: read its structure
    GIVE_UP = "give up"  # past the deadline and still not whole


@dataclass(frozen=True)
class Candidate:
    """A file that may be, or become, a frame.

    Attributes
    ----------
    changed_at : float
        When its size or mtime was last seen to change, on the watcher's monotonic clock, seconds.
    fault : str or None
        Why it was not whole when last looked at in this size and mtime; None when it was not looked at.
    """

    path: Path
    size: int
    mtime_ns: int
    changed_at: float
    fault: str | None = None


def observed(candidate: Candidate | None, path: Path, size: int, mtime_ns: int, now: float) -> Candidate:
    """The candidate after a look at the disk: a change of size or mtime starts its quiet time again."""
    if candidate is None or (candidate.size, candidate.mtime_ns) != (size, mtime_ns):
        return Candidate(path, size, mtime_ns, now)
    return candidate


def faulty(candidate: Candidate, fault: str) -> Candidate:
    """The candidate after its structure was found wanting."""
    return replace(candidate, fault=fault)


def judge(candidate: Candidate, now: float, settle_s: float, incomplete_after_s: float) -> Verdict:
    """Decide.

    A file is looked at once per size and mtime, when it has been quiet for `settle_s`. One that was not whole waits
    for a change; after `incomplete_after_s` without any it is given up.
    """
    quiet_s = now - candidate.changed_at
    if candidate.fault is not None:
        return Verdict.GIVE_UP if quiet_s >= incomplete_after_s else Verdict.WAIT
    return Verdict.LOOK if quiet_s >= settle_s else Verdict.WAIT
