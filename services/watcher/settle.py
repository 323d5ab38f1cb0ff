"""When is a file a frame? Pure decisions over what was seen of it; the watcher looks and acts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Verdict(Enum):
    """What to do with a candidate now."""

    WAIT = "wait"
    LOOK = "look"  # closed by its writer, or quiet for long enough: read its structure
    GIVE_UP = "give up"  # past the deadline and still not whole


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be, or become, a frame.

    Attributes
    ----------
    size, mtime_ns : int
        Its size (bytes) and modification time (ns since 1970) when last seen.
    changed_at : float
        When its size or mtime was last seen to change, on the watcher's monotonic clock, seconds.
    closed : bool
        Whether an event said that its writer has closed it, or moved it here, in this size and mtime.
    fault : str or None
        Why it was not whole when last looked at in this size and mtime; None when it was not looked at.
    """

    path: str
    size: int
    mtime_ns: int
    changed_at: float
    closed: bool = False
    fault: str | None = None

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and mtime: when they change, the file is another one."""
        return self.size, self.mtime_ns


def observed(
    candidate: Candidate | None, path: str, stamp: tuple[int, int], now: float, *, closed: bool = False
) -> Candidate:
    """The candidate after a look at the disk.

    A change of size or mtime starts its quiet time again. So does being closed, and it forgets the fault: a writer may
    have changed the content within one tick of the file system's clock, which leaves size and mtime as they were.
    """
    if candidate is None or candidate.stamp != stamp or closed:
        return Candidate(path, *stamp, now, closed)
    return candidate


def faulty(candidate: Candidate, fault: str) -> Candidate:
    """The candidate after it was found wanting."""
    return replace(candidate, fault=fault)


def judge(candidate: Candidate, now: float, settle_s: float, incomplete_after_s: float) -> Verdict:
    """Decide.

    A file is looked at once per size and mtime: at once when its writer has closed it, otherwise (a walk found it) when
    it has been quiet for `settle_s`. One that was not whole waits for a change; after `incomplete_after_s` without any
    it is given up.
    """
    quiet_s = now - candidate.changed_at
    if candidate.fault is not None:
        return Verdict.GIVE_UP if quiet_s >= incomplete_after_s else Verdict.WAIT
    return Verdict.LOOK if candidate.closed or quiet_s >= settle_s else Verdict.WAIT
