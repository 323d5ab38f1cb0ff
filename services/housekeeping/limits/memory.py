"""What is usual: median and scatter of each parameter over the last nights, learned in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from services.housekeeping.limits.codec import BadState, decode, encode
from services.housekeeping.limits.machine import Ints
from services.housekeeping.limits.table import Floats

KEPT: Final = 64  # values kept of a night per bin; when it is full every other one goes, and half as many come
_LEAST: Final = 8  # values that a night needs in a bin before its median counts
_NDIM: Final = {"kept": 3, "count": 2, "offered": 2, "stride": 2, "medians": 3, "scatters": 3, "steps": 2}


@dataclass
class Memory:
    """What has been learned of n parameters in b bins (times of the night, or states) over the last nights.

    Attributes
    ----------
    kept : float64 (n, b, 64)
        Values of this night.
    count, offered, stride : int64 (n, b)
        How many are kept, how many were offered, and that every `stride`-th is kept.
    medians, scatters : float64 (n, b, nights)
        Of the nights before, the newest last; NaN where there is none.
    steps : float64 (n, b)
        The smallest difference ever seen between values: the converter's step.
    """

    kept: Floats
    count: Ints
    offered: Ints
    stride: Ints
    medians: Floats
    scatters: Floats
    steps: Floats

    @staticmethod
    def fresh(size: int, bins: int, nights: int) -> Memory:
        """Nothing learned yet."""
        zeros = np.zeros((size, bins), dtype=np.int64)
        none = np.full((size, bins, nights), np.nan)
        steps = np.full((size, bins), np.inf)
        return Memory(np.full((size, bins, KEPT), np.nan), zeros, zeros.copy(), zeros + 1, none, none.copy(), steps)

    def offer(self, who: Ints, where: Ints, values: Floats) -> None:
        """One value each for parameters `who` in their bins `where`."""
        chosen = self.offered[who, where] % self.stride[who, where] == 0
        self.offered[who, where] += 1
        who, where, values = who[chosen], where[chosen], values[chosen]
        full = self.count[who, where] == KEPT
        if full.any():
            rows, bins = who[full], where[full]
            self.kept[rows, bins, : KEPT // 2] = self.kept[rows, bins, ::2]
            self.kept[rows, bins, KEPT // 2 :] = np.nan
            self.count[rows, bins] = KEPT // 2
            self.stride[rows, bins] *= 2
        self.kept[who, where, self.count[who, where]] = values
        self.count[who, where] += 1

    def close_night(self) -> None:
        """Sum the night up, and begin the next."""
        ordered = np.sort(self.kept, axis=2)
        enough = self.count >= _LEAST
        if enough.any():
            values = ordered[enough]
            median = np.nanmedian(values, axis=1)
            mad = 1.4826 * np.nanmedian(np.abs(values - median[:, None]), axis=1)
            # A coarse converter gives a MAD of 0 although the value does move: the 90 % in the middle show it.
            low, high = np.nanpercentile(values, (5, 95), axis=1)
            gaps = np.diff(values, axis=1)
            step = np.min(np.where(gaps > 0, gaps, np.inf), axis=1)
            for held, new in ((self.medians, median), (self.scatters, np.maximum(mad, (high - low) / 3.29))):
                held[enough, :-1] = held[enough, 1:]
                held[enough, -1] = new
            self.steps[enough] = np.minimum(self.steps[enough], step)
        self.kept[:] = np.nan
        self.count[:] = 0
        self.offered[:] = 0
        self.stride[:] = 1

    def usual(self) -> tuple[Floats, Floats, Ints]:
        """Centre, scatter and number of nights, each (n, b); the centre is NaN where no night is known.

        The scatter is that within a night and that of the nights' medians, added in squares, and at least the
        converter's step or 10⁻⁴ of the value: of a parameter that never moved any change is unusual, rounding is not.
        """
        nights = np.sum(np.isfinite(self.medians), axis=2)
        centre, within, between = (np.full(nights.shape, np.nan) for _ in range(3))
        known = nights > 0
        if known.any():
            medians = self.medians[known]
            centre[known] = np.nanmedian(medians, axis=1)
            within[known] = np.nanmedian(self.scatters[known], axis=1)
            between[known] = 1.4826 * np.nanmedian(np.abs(medians - centre[known][:, None]), axis=1)
        step = np.where(np.isfinite(self.steps), self.steps, 0.0)
        scatter = np.maximum(np.hypot(within, between), np.maximum(step, 1e-4 * np.abs(centre)))
        return centre, np.maximum(scatter, 1e-12), nights

    def resized(self, size: int, bins: int, nights: int) -> Memory:
        """A copy with room for more parameters, bins or nights; the columns stay in their order."""
        keep = np.arange(len(self.count))
        return self._moved(Memory.fresh(size, bins, nights), keep, keep)

    def dump(self) -> dict[str, Any]:
        """The memory as JSON."""
        return {item.name: encode(getattr(self, item.name)) for item in fields(self)}

    @staticmethod
    def load(document: Mapping[str, Any]) -> Memory:
        """The memory again.

        Raises
        ------
        BadState
        """
        kinds = {"count": np.int64, "offered": np.int64, "stride": np.int64}
        memory = Memory(
            **{name: decode(document.get(name, {}), kinds.get(name, np.float64), ndim) for name, ndim in _NDIM.items()}
        )
        shapes = {getattr(memory, name).shape[:2] for name in _NDIM}
        nights = {memory.medians.shape[2], memory.scatters.shape[2]}
        if len(shapes) != 1 or len(nights) != 1 or memory.kept.shape[2] != KEPT:
            raise BadState("the kept state of the envelope does not fit together")
        return memory

    def chosen(self, columns: Ints, size: int) -> Memory:
        """Of other parameters: old column `columns[i]` becomes i; -1 is a new one."""
        here = np.flatnonzero(columns >= 0)
        bins, nights = self.medians.shape[1:]
        return self._moved(Memory.fresh(size, bins, nights), here, columns[here])

    def _moved(self, new: Memory, here: Ints, there: Ints) -> Memory:
        bins = self.count.shape[1]
        for item in fields(self):
            target, old = getattr(new, item.name), getattr(self, item.name)
            if item.name in ("medians", "scatters"):
                target[here, :bins, -old.shape[2] :] = old[there]
            else:
                target[here, :bins] = old[there]
        return new
