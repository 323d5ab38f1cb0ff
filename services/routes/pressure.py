"""Back-pressure: what the receiver says about itself → whether to slow down, to prefer science, or to pause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.core.route_settings import PressureRule


@dataclass(frozen=True)
class Word:
    """The receiver's newest word: free disk in bytes, tasks not done, age of the oldest waiting one in seconds.

    `at` is when it was heard here, in seconds since 1970 UTC: the other side's clock is not trusted.
    """

    at: float
    free_bytes: int
    queue_depth: int | None
    oldest_task_s: float | None


@dataclass(frozen=True)
class Pressure:
    """What to do, and why."""

    pause: bool = False
    science_first: bool = False
    mbit_s: float | None = None
    reasons: tuple[str, ...] = field(default=())


def judge(rules: Sequence[PressureRule], word: Word | None, now: float, stale_s: float) -> Pressure:
    """The sum of all rules that hold. A word older than `stale_s` counts no more: the next bundle brings one."""
    if word is None or now - word.at > stale_s:
        return Pressure()
    measures = {
        "free_gb": word.free_bytes / 1e9,
        "queue_depth": word.queue_depth,
        "oldest_task_s": word.oldest_task_s,
    }
    pause, science_first, limits, reasons = False, False, [], []
    for rule in rules:
        value = measures[rule.measure]
        if value is None:
            continue
        too_high = rule.above is not None and value > rule.above
        too_low = rule.below is not None and value < rule.below
        if not (too_high or too_low):
            continue
        limit = f"above {rule.above:g}" if too_high else f"below {rule.below:g}"
        reasons.append(f"{rule.action}: {rule.measure} is {value:.6g}, {limit}")
        pause = pause or rule.action == "pause"
        science_first = science_first or rule.action == "science_first"
        if rule.mbit_s is not None:
            limits.append(rule.mbit_s)
    return Pressure(pause, science_first, min(limits, default=None), tuple(reasons))
