"""Frames that a route could not pack: they let the others go first, and a person is told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, now
from transfer.errors import NoSpace

LATER_S: Final = 600.0


class PutOff:
    """Of one route; used by its packing thread."""

    def __init__(self, route: str, ledger: Ledger) -> None:
        self._alert = f"route:{route}:packing"
        self._ledger = ledger
        self._until: dict[str, float] = {}
        self._alerted = True  # it may be open from before the start

    def frames(self) -> set[str]:
        """sha256 of the frames whose time has not come."""
        self._until = {sha256: until for sha256, until in self._until.items() if time.monotonic() < until}
        return set(self._until)

    def add(self, batch: Sequence[Any], error: Exception) -> None:
        """A batch cannot be packed; a full disk would stop every other one too, so that puts nothing off."""
        if not isinstance(error, NoSpace):
            self._until.update({row.sha256: time.monotonic() + LATER_S for row in batch})
        self._alerted = True
        with self._ledger.begin() as conn:
            names = ", ".join(row.name for row in batch)
            raise_alert(conn, self._alert, f"cannot be packed: {names}: {error}", now())

    def packed(self) -> None:
        """A batch was packed: with nothing put off the alert is over."""
        if self._alerted and not self.frames():
            with self._ledger.begin() as conn:
                resolve_alert(conn, self._alert, now())
            self._alerted = False
