"""Which arc gives a spectrum its wavelengths: a pure decision on identities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from processors.identity import FrameIdentity
from processors.masters.associate import MAX_AGE_DAYS
from processors.masters.ref import detector_of

T = TypeVar("T")

# Through another slit lines are as wide as that one and lie elsewhere by as much as its place differs: an arc through
# the frame's own slit wins if it is less than this much farther in time.
OTHER_SLIT_DAYS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ArcChoice(Generic[T]):
    """The arc of a frame, how many days after the frame it was taken (negative: before), and through which slit."""

    arc: T
    days: float
    slit: str
    other_slit: bool

    @property
    def words(self) -> str:
        """The choice for a person."""
        when = f"{abs(self.days) * 24:.1f} h {'before' if self.days < 0 else 'after'} the frame"
        return f"{when}, through another slit ({self.slit or 'none'})" if self.other_slit else when


def choose_arc(
    identity: FrameIdentity, arcs: Iterable[tuple[T, FrameIdentity]], max_age_days: float = MAX_AGE_DAYS
) -> ArcChoice[T] | None:
    """Choose the arc for a spectrum: the nearest in time through the same slit, or else through another.

    It shares instrument, mode, readout, filter (which names the grism), and detector, and is at most `max_age_days`
    away. Frames that are no arcs are left alone. None where there is no such arc.
    """
    when = dt.datetime.fromisoformat(identity.date_obs)
    best: tuple[tuple[float, str, int], ArcChoice[T]] | None = None
    for arc, other in arcs:
        if other.obstype != "arc" or _setting(other) != _setting(identity):
            continue
        days = (dt.datetime.fromisoformat(other.date_obs) - when).total_seconds() / 86400.0
        if abs(days) > max_age_days:
            continue
        choice = ArcChoice(arc, days, other.slit, other.slit != identity.slit)
        place = (abs(days) + (OTHER_SLIT_DAYS if choice.other_slit else 0.0), other.date_obs, other.expid)
        if best is None or place < best[0]:
            best = place, choice
    return None if best is None else best[1]


def _setting(identity: FrameIdentity) -> tuple[str, str, str, str, str]:
    return identity.instrument, identity.mode, identity.readout, identity.filter, detector_of(identity)
