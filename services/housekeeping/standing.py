"""How every parameter stands against its limits: for the consoles, and as the bands of the dashboards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from services.housekeeping.limits.engine import Engine
from services.housekeeping.points import PointMaker
from services.housekeeping.samples import Samples
from services.housekeeping.store import Standing

SIDES: Final = ("warning_low", "warning_high", "error_low", "error_high")
_LOOK_EVERY_S: Final = 10.0  # verdicts change with alerts, limits by their dates and by what is commanded
_WRITE_EVERY_S: Final = 3600.0
Limits = Mapping[str, float | None]


class Standings:
    """Verdicts and limits as they were last told; `changed` says what is new."""

    def __init__(self) -> None:
        self.limits: dict[tuple[str, str], Limits] = {}
        self._units: dict[tuple[str, str], str | None] = {}
        self._told: dict[tuple[str, str], tuple[str | None, Limits | None]] = {}
        self._written: dict[tuple[str, str], float] = {}
        self._newest: dict[str, int] = {}
        self._columns: set[tuple[str, tuple[str, ...]]] = set()
        self._looked = float("-inf")

    def reload(self) -> None:
        """The limits are others now."""
        self._looked = float("-inf")
        self.limits.clear()

    def see(self, samples: Iterable[Samples]) -> None:
        """Rows have come: which source's newest is when, and whether there are new parameters."""
        for one in samples:
            if len(one):
                self._newest[one.source] = int(one.times_ns[-1])
            if (one.source, one.parameters) not in self._columns:
                self._columns.add((one.source, one.parameters))
                self._looked = float("-inf")

    def changed(
        self, engine: Engine, now: float, points: PointMaker, *, alerted: bool
    ) -> tuple[list[Standing], list[str]]:
        """Parameters that stand otherwise than before, and the points of limits that changed or are an hour old.

        `now` is our clock, seconds since 1970 UTC. Looked for every ten seconds, and at once when the engine has said
        something (`alerted`) or there are new parameters.
        """
        if not alerted and time.monotonic() - self._looked < _LOOK_EVERY_S:
            return [], []
        self._looked = time.monotonic()
        verdicts = engine.verdicts()
        lines: list[str] = []
        for key in verdicts:
            limits = self._bands(engine, key, round(now * 1e9))
            if limits is None:
                self.limits[key] = {}
            elif limits != self.limits.get(key) or now - self._written.get(key, 0.0) >= _WRITE_EVERY_S:
                self.limits[key] = limits
                self._written[key] = now
                line = points.limits(*key, limits, round(now * 1e9))
                lines += [line] if line is not None else []
        standings = []
        for key, verdict in verdicts.items():
            told = (verdict.verdict, self.limits.get(key) or None)
            if told != self._told.get(key):
                self._told[key] = told
                standings.append(Standing(*key, *told, self._units.get(key)))
        for key in [key for key in self._told if key not in verdicts]:  # no limits any more
            del self._told[key]
            standings.append(Standing(*key, None, None))
        return standings, lines

    def _bands(self, engine: Engine, key: tuple[str, str], now_ns: int) -> Limits | None:
        bands = engine.bands(*key, self._newest.get(key[0], now_ns))
        if bands is None:
            return None
        self._units[key] = bands.unit
        return {side: getattr(bands, side) for side in SIDES}
