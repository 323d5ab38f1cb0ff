"""A condition that comes and goes: one long episode until it has been calm for a while."""

from __future__ import annotations

from itertools import pairwise

from services.alerts.situation import Condition, Flap


def flap_of(condition: Condition, now: float, count: int, window_s: float) -> Flap | None:
    """What changes now: it began to flap, or it has calmed down; None when nothing changes.

    It flaps from the `count`-th beginning of an episode within `window_s` on, until none has begun for `window_s`.
    """
    raises = condition.raises
    if condition.flapping is not None:
        # Calm but closed stays on record until it comes back: its end is told as the end of the whole.
        quiet = condition.open and not still_flapping(condition, now, window_s)
        if quiet or _calmed_in_between(condition, window_s):
            return Flap(condition.alert, None, f"no new episode for {window_s:g} s")
        return None
    recent = [at for at in raises if at > now - window_s]
    if len(recent) >= count:
        return Flap(condition.alert, condition.episode, f"{len(recent)} episodes within {window_s:g} s")
    return None


def still_flapping(condition: Condition, now: float, window_s: float) -> bool:
    """Whether a condition marked as flapping has not been calm for long enough yet."""
    # A beginning that is yet to come: the clock has been set back.
    return condition.flapping is not None and abs(now - condition.raised_at) < window_s


def _calmed_in_between(condition: Condition, window_s: float) -> bool:
    """A pause of `window_s` between two episodes since it began to flap: what came after it is something new."""
    assert condition.flapping is not None
    raises = condition.raises
    first = condition.episode - len(raises) + 1  # the episode of raises[0]
    return any(
        later - earlier >= window_s and first + index + 1 > condition.flapping
        for index, (earlier, later) in enumerate(pairwise(raises))
    )
