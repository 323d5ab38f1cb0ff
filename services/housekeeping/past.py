"""Alerts of the past: rows that are read late, at a first start or after a pause, wake nobody for what is long over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from services.core.log import get_logger
from services.housekeeping.limits.transition import SECOND, Transition
from services.housekeeping.samples import Samples


class Past:
    """Holds alerts back until their source has been read to where it is, and its rows are not of the past.

    An alert that begins and ends in rows that are older than `past_s` is told to nobody; one that is still open when
    the source's rows have come up to the present is raised then. What a silent source or sensor is (`stale`) is known
    by our clock, and never held back. `state` is stored with that of the limits.
    """

    def __init__(self, past_s: Mapping[str, float | None], state: Mapping[str, Any] | None) -> None:
        self._past_s = past_s
        self._newest: dict[str, int] = {}
        self._held: dict[str, Transition] = {}
        if state is not None:
            self._newest = {name: int(when) for name, when in state["newest"].items()}
            self._held = {one["alert"]: Transition(**one) for one in state["held"]}

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"newest": self._newest, "held": [asdict(one) for one in self._held.values()]}

    def see(self, samples: Iterable[Samples]) -> None:
        """Rows have been read."""
        self._newest |= {one.source: int(one.times_ns[-1]) for one in samples if len(one)}

    def sift(self, said: Sequence[Transition], behind: Collection[str], now_ns: int) -> list[Transition]:
        """What is to be told now; `behind` are the sources that are not read to where they are."""
        told: list[Transition] = []
        missed: list[str] = []
        for step in said:
            if step.kind == "stale":
                told.append(step)
            elif step.opened:
                self._held[step.alert] = step
            else:
                begun = self._held.pop(step.alert, None)
                if begun is not None and self._is_past(step.source, step.time_ns, now_ns):
                    missed.append(step.alert)
                elif begun is not None:
                    told.append(begun)
                told.append(step)  # which changes nothing when it was not told
        if missed:
            words = "alerts began and ended in rows of the past, and nobody is told"
            get_logger().warning(words, count=len(missed), alerts=sorted(set(missed))[:20])
        return [*told, *self._due(lambda name: name not in behind and not self._is_old(name, now_ns))]

    def forget(self, held: Collection[str]) -> None:
        """Alerts that the limits do not hold any more (they were read anew) are not told."""
        self._held = {alert: step for alert, step in self._held.items() if alert in held}

    def _due(self, is_here: Callable[[str], bool]) -> list[Transition]:
        due = [step for step in self._held.values() if is_here(step.source)]
        for step in due:
            del self._held[step.alert]
        return due

    def old(self, now_ns: int) -> set[str]:
        """Sources whose newest row is of the past."""
        return {name for name in self._newest if self._is_old(name, now_ns)}

    def _is_old(self, source: str, now_ns: int) -> bool:
        newest = self._newest.get(source)
        return newest is not None and self._is_past(source, newest, now_ns)

    def _is_past(self, source: str, time_ns: int, now_ns: int) -> bool:
        past_s = self._past_s.get(source)
        return past_s is not None and time_ns < now_ns - round(past_s * SECOND)
