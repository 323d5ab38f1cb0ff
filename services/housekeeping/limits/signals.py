"""Which condition of which parameter is breached, or clear again, in every row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.housekeeping.limits.block import Block
from services.housekeeping.limits.machine import Bools, Ints
from services.housekeeping.limits.table import CHANNELS, ENVELOPE, IDENTITY, NAN, NUMERIC, RAILED, RATES, Floats, Table
from services.housekeeping.limits.track import Track

Sign = Callable[[Floats], Floats]
_SIGNS: Final[dict[str, Sign]] = {"rate": np.abs, "rise": np.positive, "fall": np.negative}
_BACK = 0.9  # of a rate or a robust z: it is clear again below this share of its limit


@dataclass(frozen=True)
class Signals:
    """Of every row, channel and parameter: (rows, channels, n), all 15 channels or the first 11.

    `rates` and `scores` are (rows, n), NaN where unknown.
    """

    breach: Bools
    clear: Bools
    valid: Bools
    rates: Floats
    scores: Floats


def signals_of(track: Track, table: Table, block: Block, scores: Floats, wrong_unit: Bools) -> Signals:
    """Ask every limit.

    A condition that is not asked for, or not in force, is clear: what was open ends in its time.

    Parameters
    ----------
    scores : float64 (rows, n)
        Robust z of the envelope.
    wrong_unit : bool (n,)
        The limits are in another unit than the values: only the identity is breached, no number is judged.
    """
    rows, size = block.values.shape
    width = _width(track, table)
    breach = np.zeros((rows, width, size), dtype=bool)
    clear = np.ones_like(breach)
    valid = np.repeat(block.known[:, None, :], width, axis=1)
    _ranges(table, block, breach, clear)
    at_rail = _at_rail(table, block)
    rates = _rates(track, table, block, at_rail)
    asked_of: list[tuple[int, Sign, Floats, Floats]] = [(ENVELOPE, np.abs, scores, table.z_limits)]
    asked_of += [(RATES[kind], sign, rates, table.rate_limits[kind]) for kind, sign in _SIGNS.items()]
    for first, sign, found, limits in asked_of:
        if first in table.fast:
            value = sign(found)
            with np.errstate(invalid="ignore"):
                breach[:, first : first + 2] = value[:, None, :] > limits
                clear[:, first : first + 2] = value[:, None, :] < _BACK * limits
            valid[:, first : first + 2] = np.isfinite(value)[:, None, :]
    for column, wrong in block.wrong_words.items():
        breach[:, IDENTITY, column] = wrong
    breach[:, NAN] = ~block.known
    breach[:, RAILED] = at_rail | _stuck_or_ended(table, block)
    # A sensor at one of its rails measures nothing: that is one alert, not also one of a value out of limits.
    if at_rail.any():
        for numeric in NUMERIC:
            valid[:, numeric] &= ~at_rail[:, None, :]
    valid[:, NAN] = True
    for channel in (IDENTITY, NAN, RAILED):
        clear[:, channel] = ~breach[:, channel]
    asked = table.asked[:width].copy()
    _set_units(asked, breach, clear, valid, wrong_unit)
    watched = asked & block.active[:, None, :]
    valid = (valid | ~watched) & block.present
    return Signals(breach & watched, clear | ~watched, valid, rates, scores)


def _width(track: Track, table: Table) -> int:
    """All channels, or without those of a rise and a fall, where nobody asks for one and none was begun: it is time."""
    fewer = RATES["rise"]
    if not table.fast.isdisjoint((RATES["rise"], RATES["fall"])):
        return len(CHANNELS)
    begun = track.machine.busy(slice(fewer * len(track.names), None))
    return len(CHANNELS) if begun.any() else fewer


def _set_units(asked: Bools, breach: Bools, clear: Bools, valid: Bools, wrong: Bools) -> None:
    if wrong.any():
        for numeric in NUMERIC:
            asked[numeric, wrong] = False
        asked[IDENTITY, wrong] = True
        breach[:, IDENTITY, wrong] = True
        clear[:, IDENTITY, wrong] = False
        valid[:, IDENTITY, wrong] = True


def _ranges(table: Table, block: Block, breach: Bools, clear: Bools) -> None:
    # 1e-9: 3.2 is not above 3 + 0.2, whatever binary fractions make of it
    for channel in range(4):
        low = channel < 2
        if not table.asked[channel].any():
            continue
        limit = table.limits[channel] + block.commanded
        back = table.backs[channel] + block.commanded
        with np.errstate(invalid="ignore"):
            slack = 1e-9 * np.abs(limit)
            breach[:, channel] = block.values < limit - slack if low else block.values > limit + slack
            clear[:, channel] = block.values >= back - slack if low else block.values <= back + slack


def _rates(track: Track, table: Table, block: Block, at_rail: Bools) -> Floats:
    rates = np.full(block.values.shape, np.nan)
    rated = table.rated
    if rated.any():
        over, step = table.rate_over_ns, table.rate_step
        for row in range(len(rates)):
            take = rated & block.present & block.active[row] & np.isfinite(block.values[row]) & ~at_rail[row]
            forget = rated & block.present & ~block.active[row]
            rates[row] = track.rates.step(take, forget, block.elapsed[row], block.values[row], over, step)
    return rates


def _at_rail(table: Table, block: Block) -> Bools:
    railed = np.zeros(block.values.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        for rail in table.rails.T:
            railed |= np.abs(block.values - rail) <= 1e-9 * np.maximum(1.0, np.abs(rail))
    return railed


def _stuck_or_ended(table: Table, block: Block) -> Bools:
    stuck: Ints = table.stuck_ns
    with np.errstate(invalid="ignore"):
        ended = (block.values <= table.ends[0]) | (block.values >= table.ends[1])
    return np.asarray(ended | ((stuck > 0) & (block.same_ns >= stuck)))
