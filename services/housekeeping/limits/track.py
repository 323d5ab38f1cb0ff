"""What is remembered of the parameters of a source between two feedings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.housekeeping.limits.codec import BadState, decode, encode
from services.housekeeping.limits.machine import NONE, Bools, Ints, Machine
from services.housekeeping.limits.rate import KEPT, Rates
from services.housekeeping.limits.table import CHANNELS, KINDS, Floats
from services.housekeeping.limits.transition import NEVER

_STATE: Final = ("on", "hits", "since", "clear")
_TYPES: Final[dict[str, Any]] = {"on": np.bool_, "hits": np.uint64, "since": np.int64, "clear": np.int64}


@dataclass
class Track:
    """State of n parameters; arrays have length n unless it says otherwise.

    Attributes
    ----------
    last_ns, elapsed : int64
        Time of the last row, and the time that has passed over all rows (never falling).
    value, known : float64
        Of the last row, and the last that was a number.
    run_from : int64
        Elapsed time since when `value` has been the same.
    true_since : int64
        Elapsed time since when the `when` holds, or `NONE`.
    heard_ns : int64
        By the clock of `tick`: when a value came last, or `NEVER`.
    fresh : bool
        A value came since the last `tick`.
    stale : bool
    stale_clear : int64
        By the clock of `tick`: since when a stale parameter speaks again, or `NONE`.
    severity : int8 (kinds, n)
        Of the alerts that were said to be open.
    rates : Rates
    machine : Machine
        Of channels × n conditions.
    """

    names: list[str]
    last_ns: Ints
    elapsed: Ints
    value: Floats
    known: Floats
    run_from: Ints
    true_since: Ints
    heard_ns: Ints
    fresh: Bools
    stale: Bools
    stale_clear: Ints
    severity: npt.NDArray[np.int8]
    rates: Rates
    machine: Machine
    texts: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def new(names: Sequence[str]) -> Track:
        """Parameters of which nothing is known yet."""
        n = len(names)
        return Track(
            list(names),
            last_ns=np.full(n, NEVER, dtype=np.int64),
            elapsed=np.zeros(n, dtype=np.int64),
            value=np.full(n, np.nan),
            known=np.full(n, np.nan),
            run_from=np.zeros(n, dtype=np.int64),
            true_since=np.full(n, NONE, dtype=np.int64),
            heard_ns=np.full(n, NEVER, dtype=np.int64),
            fresh=np.zeros(n, dtype=bool),
            stale=np.zeros(n, dtype=bool),
            stale_clear=np.full(n, NONE, dtype=np.int64),
            severity=np.zeros((len(KINDS), n), dtype=np.int8),
            rates=Rates.fresh(n),
            machine=Machine.fresh(len(CHANNELS) * n),
        )

    def chosen(self, names: Sequence[str]) -> Track:
        """The same state for other parameters, new ones among them."""
        new = Track.new(names)
        place = {name: column for column, name in enumerate(self.names)}
        here = np.array([column for column, name in enumerate(names) if name in place], dtype=np.int64)
        there = np.array([place[name] for name in names if name in place], dtype=np.int64)
        for name in _ARRAYS:
            getattr(new, name)[here] = getattr(self, name)[there]
        new.severity[:, here] = self.severity[:, there]
        new.rates.times[here], new.rates.values[here] = self.rates.times[there], self.rates.values[there]
        shape = (len(CHANNELS), -1)
        for name in _STATE:
            getattr(new.machine, name).reshape(shape)[:, here] = getattr(self.machine, name).reshape(shape)[:, there]
        new.texts = {name: text for name, text in self.texts.items() if name in names}
        new.units = {name: unit for name, unit in self.units.items() if name in names}
        return new

    def dump(self) -> dict[str, Any]:
        """As JSON; of conditions and rates only those that hold anything."""
        busy = np.flatnonzero(self.machine.busy() | (self.machine.clear != NONE))
        rated = np.flatnonzero(~np.isnan(self.rates.values).all(axis=1))
        return {
            "names": self.names,
            **{name: encode(getattr(self, name)) for name in _ARRAYS},
            "severity": encode(self.severity),
            "busy": encode(busy),
            **{name: encode(getattr(self.machine, name)[busy]) for name in _STATE},
            "rated": encode(rated),
            "rate_times": encode(self.rates.times[rated]),
            "rate_values": encode(self.rates.values[rated], packed=False),
            "texts": self.texts,
            "units": self.units,
        }

    @staticmethod
    def load(document: Mapping[str, Any]) -> Track:
        """The state again.

        Raises
        ------
        BadState
            Not what `dump` writes.
        """
        try:
            names = [str(name) for name in document["names"]]
            track = Track.new(names)
            for name in _ARRAYS:
                _fill(getattr(track, name), decode(document[name], getattr(track, name).dtype, 1))
            told = decode(document["severity"], np.int8, 2)  # a state of before has fewer kinds, the first of ours
            _fill(track.severity[: len(told)], told)
            busy = decode(document["busy"], np.int64, 1)
            for name in _STATE:
                getattr(track.machine, name)[busy] = decode(document[name], _TYPES[name], 1)
            rated = decode(document["rated"], np.int64, 1)
            track.rates.times[rated] = decode(document["rate_times"], np.int64, 2).reshape(-1, KEPT)
            track.rates.values[rated] = decode(document["rate_values"], np.float64, 2).reshape(-1, KEPT)
            track.texts = {str(name): str(text) for name, text in document["texts"].items()}
            track.units = {str(name): str(unit) for name, unit in document["units"].items()}
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            raise BadState(f"the kept state of the limits cannot be read: {error}") from None
        return track


def _fill(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    if target.shape != source.shape:
        raise ValueError(f"an array of {source.shape}, expected {target.shape}")
    target[:] = source


_ARRAYS: Final = tuple(
    item.name for item in fields(Track) if item.name not in ("names", "severity", "rates", "machine", "texts", "units")
)
