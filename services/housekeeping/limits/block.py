"""Some rows of a source while one table is in force, and what can be said of them before any limit is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.housekeeping.limits.machine import NONE, Bools, Ints
from services.housekeeping.limits.settings import WhenSettings
from services.housekeeping.limits.table import Floats, Table
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import NEVER


@dataclass(frozen=True)
class Block:
    """Rows × n parameters.

    Attributes
    ----------
    times_ns : int64 (rows,)
    values : float64 (rows, n)
        Words are 0, a missing word is NaN.
    present : bool (n,)
        Parameters that these rows speak of.
    wrong_words : mapping of column to bool (rows,)
        Of the parameters of mode identity: not what was asked for.
    elapsed : int64 (rows, n)
        Time that has passed, ns, without the jumps of a clock backwards.
    same_ns : int64 (rows, n)
        For how long the value has been the same.
    commanded : float64 (rows, n)
        0 in absolute mode.
    states : mapping of column to float64 (rows,)
        The last known values of parameters that others look at.
    active : bool (rows, n)
        Whether the limits are in force (`when`).
    known : bool (rows, n)
        A number, and its commanded value is known.
    """

    times_ns: Ints
    values: Floats
    present: Bools
    wrong_words: Mapping[int, Bools]
    elapsed: Ints
    same_ns: Ints
    commanded: Floats
    states: Mapping[int, Floats]
    active: Bools
    known: Bools


def block_of(
    track: Track, table: Table, times_ns: Ints, values: Floats, present: Bools, wrong_words: Mapping[int, Bools],
    looked_at: Ints,
) -> Block:  # fmt: skip
    """Work it out, and bring the track up to the last row."""
    elapsed = _elapsed(track, times_ns, present)
    states = {int(column): _filled(values[:, column], track.known[column]) for column in looked_at}
    commanded = np.where(table.relative, table.commanded, 0.0)[None, :].repeat(len(times_ns), axis=0)
    for column in np.flatnonzero(table.commanded_at >= 0).tolist():
        commanded[:, column] = states[int(table.commanded_at[column])]
    active = np.ones(values.shape, dtype=bool)
    for when, column, members in table.whens:
        active[:, members] = _in_force(track, when, states[column], elapsed[:, members], members, present)
    same_ns = _same(track, values, elapsed, present)
    finite = np.isfinite(values)
    known = finite & np.isfinite(commanded)
    _advance(track, times_ns, values, finite, elapsed, present)
    return Block(times_ns, values, present, wrong_words, elapsed, same_ns, commanded, states, active, known)


def _elapsed(track: Track, times_ns: Ints, present: Bools) -> Ints:
    steps = np.maximum(np.diff(times_ns), 0)
    since_first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(steps)])
    ever = present & (track.last_ns != NEVER)
    gap = np.where(ever, np.maximum(times_ns[0] - np.where(ever, track.last_ns, 0), 0), 0)
    return np.asarray(track.elapsed + gap + np.where(present, since_first[:, None], 0))


def _filled(column: Floats, before: float) -> Floats:
    """Every missing value replaced by the last known one."""
    rows = np.maximum.accumulate(np.where(np.isfinite(column), np.arange(len(column)), -1))
    return np.where(rows >= 0, column[rows], before)


def _in_force(track: Track, when: WhenSettings, state: Floats, elapsed: Ints, members: Ints, present: Bools) -> Bools:
    """(rows, members): the condition holds, and has for `settle_s`. Where the state is not known it holds: a limit
    that is asked once too often is better than one that nobody asks."""
    with np.errstate(invalid="ignore"):
        low = (state > when.above) if when.above is not None else True
        high = (state < when.below) if when.below is not None else True
    holds = np.asarray((low & high) | np.isnan(state))
    last_false = np.maximum.accumulate(np.where(holds, -1, np.arange(len(state))))
    carried = np.where(track.true_since[members] == NONE, elapsed[0], track.true_since[members])
    begun = np.where((last_false >= 0)[:, None], elapsed[np.minimum(last_false + 1, len(state) - 1)], carried)
    update = present[members]
    since = begun[-1] if holds[-1] else np.full(len(members), NONE, dtype=np.int64)
    track.true_since[members[update]] = since[update]
    return np.asarray(holds[:, None] & (elapsed - begun >= round(when.settle_s * 1e9)))


def _same(track: Track, values: Floats, elapsed: Ints, present: Bools) -> Ints:
    before = np.concatenate([track.value[None, :], values[:-1]])
    begun = np.maximum.accumulate(np.where(values != before, elapsed, NONE), axis=0)
    begun = np.where(begun == NONE, track.run_from, begun)
    track.run_from[present] = begun[-1][present]
    return np.asarray(elapsed - begun)


def _advance(track: Track, times_ns: Ints, values: Floats, finite: Bools, elapsed: Ints, present: Bools) -> None:
    track.last_ns[present] = times_ns[-1]
    track.elapsed[present] = elapsed[-1][present]
    track.value[present] = values[-1][present]
    some = present & finite.any(axis=0)
    newest = len(values) - 1 - np.argmax(finite[::-1], axis=0)
    track.known[some] = values[newest, np.arange(values.shape[1])][some]
