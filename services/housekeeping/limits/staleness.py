"""Who has been silent for too long, by the clock of the caller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.housekeeping.limits.machine import NONE, Bools, Ints
from services.housekeeping.limits.table import Table
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import NEVER, SECOND

_RETIRED_NS: Final = 31 * 86_400 * SECOND  # longer than any `stale_s`


@dataclass
class Silence:
    """Of the source as a whole.

    Attributes
    ----------
    begun_ns : int
        First tick; a parameter that has never spoken is counted from here.
    tick_ns : int
        Last tick; the clock never goes back.
    silent : bool
    clear_ns : int
        Since when a silent source speaks again, or `NONE`.
    severity : int
        Of the alert about the source.
    """

    begun_ns: int = NEVER
    tick_ns: int = NEVER
    silent: bool = False
    clear_ns: int = NONE
    severity: int = 0

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Change:
    """A column (-1: the source) that became stale, or speaks again; for how long it was silent, and the limit."""

    column: int
    stale: bool
    age_ns: int
    limit_ns: int
    never: bool


def ages(silence: Silence, track: Track, now_ns: int) -> Ints:
    """For how long each parameter has been silent, ns.

    The longer of: since a value came, by our clock; since the time that its last row bears. The second notices a
    clock that stands still, the first one that runs ahead.
    """
    heard = np.where(track.heard_ns == NEVER, silence.begun_ns, track.heard_ns)
    stamped = np.where((track.last_ns == NEVER) | (track.last_ns > now_ns), now_ns, track.last_ns)
    return np.asarray(np.maximum(silence.tick_ns - heard, now_ns - stamped))


def tick(
    silence: Silence, track: Track, table: Table, silent_ns: int, by_pattern: Bools, now_ns: int
) -> Iterator[Change]:
    """Bring it up to now, and say what changed. While the whole source is silent no parameter is told of singly."""
    if silence.begun_ns == NEVER:
        silence.begun_ns = silence.tick_ns = now_ns
    silence.tick_ns = max(silence.tick_ns, now_ns)
    track.heard_ns[track.fresh] = silence.tick_ns
    track.fresh[:] = False
    old = ages(silence, track, now_ns)
    resolve = table.patience.resolve_ns[0]
    youngest = int(old.min()) if len(old) else silence.tick_ns - silence.begun_ns
    late = silent_ns > 0 and youngest > silent_ns
    never = bool((track.heard_ns == NEVER).all())
    asked = table.stale_ns > 0
    pause = int(resolve[asked].min()) if asked.any() else 60 * SECOND
    if late and not silence.silent:
        silence.silent, silence.clear_ns = True, NONE
        yield Change(-1, True, youngest, silent_ns, never)
    elif silence.silent and not late:
        silence.clear_ns = silence.tick_ns if silence.clear_ns == NONE else silence.clear_ns
        if int(track.heard_ns.max(initial=NEVER)) - silence.clear_ns >= pause:
            silence.silent, silence.clear_ns = False, NONE
            yield Change(-1, False, youngest, silent_ns, never)
    elif late:
        silence.clear_ns = NONE
    # Known from a pattern and old rows only: it was taken out of the instrument, and is not missed.
    retired = by_pattern & (old > _RETIRED_NS)
    yield from _parameters(silence, track, table, old, late, retired)


def _parameters(
    silence: Silence, track: Track, table: Table, old: Ints, source_late: bool, retired: Bools
) -> Iterator[Change]:
    asked = table.stale_ns > 0
    late: Bools = asked & (old > table.stale_ns)
    begun = late & ~retired & ~track.stale & (not source_late and not silence.silent)
    calm = track.stale & ~late
    track.stale_clear = np.where(
        calm, np.where(track.stale_clear == NONE, silence.tick_ns, track.stale_clear), NONE
    ).astype(np.int64)
    # Not one word, but words over the whole of that time: a sensor that speaks now and then is one alert, not many.
    over = calm & (track.heard_ns - track.stale_clear >= table.patience.resolve_ns[0])
    track.stale = (track.stale | begun) & ~over
    track.stale_clear[over] = NONE
    for column in np.flatnonzero(begun | over).tolist():
        never = bool(track.heard_ns[column] == NEVER)
        yield Change(column, bool(begun[column]), int(old[column]), int(table.stale_ns[column]), never)
