"""The clock: how far it is from NTP, whether anything holds it, and whether it jumped.

How far the other site's clock is off is told by its heartbeats (`services.conditions.heartbeat`).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.conditions.base import Eye, Finding, OpenAlert, Report, above, words_of_time
from services.conditions.chrony import ask_chrony, quiet_s
from services.core.condition_settings import ClockConditions
from services.core.metrics.spool import Point

_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_TIME_ERROR: Final = 5
_JUMP_OPEN_S: Final = 3600.0  # a jump is over when it happens, and is told for so long
_GRAVE: Final = 60.0  # times the limit: then nights and exposures go wrong


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_long * 16),
    )


@dataclass(frozen=True)
class ClockFacts:
    """What is known of the clock.

    `offset_s` is its distance from NTP's time (positive: it is ahead), None when nothing holds it;
    `unsynchronised_s` for how long nothing has held it, or no server was heard; `jump_s` by how much it was set since
    the last look; `source`: who says so.
    """

    offset_s: float | None
    unsynchronised_s: float | None = None
    jump_s: float = 0.0
    source: str = "kernel"


def kernel_clock() -> float | None:
    """Offset of the clock as the kernel has it from NTP, seconds; None when nothing disciplines it.

    Raises
    ------
    OSError
        The system does not tell.
    """
    timex = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        raise OSError(ctypes.get_errno(), "adjtimex refused")
    return kernel_offset(state, timex.status, timex.offset)


def kernel_offset(state: int, status: int, offset: int) -> float | None:
    """Offset by what adjtimex(2) returned, its `status` and its `offset` (us, or ns), seconds."""
    if state == _TIME_ERROR or status & _STA_UNSYNC:
        return None
    # What is still to be slewed: the kernel adds it to the clock, so the clock is behind by it.
    return -offset / (1e9 if status & _STA_NANO else 1e6)


def gather(memory: dict[str, Any]) -> ClockFacts:
    """Ask chrony, else the kernel; what must be remembered from look to look is in `memory`.

    chrony first: the kernel does not know its offset, and without chrony's `rtcsync` not even that it holds the clock.
    """
    chrony = ask_chrony()
    wall, steady = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    before = memory.get("clocks")
    jump_s = 0.0 if before is None else (wall - before[0]) - (steady - before[1])
    memory["clocks"] = (wall, steady)
    source = "kernel" if chrony is None else "chrony"
    offset_s = kernel_clock() if chrony is None else chrony.offset_s
    if offset_s is None:
        since = memory.setdefault("unsynchronised", steady)
        return ClockFacts(None, steady - since, jump_s, source)
    memory.pop("unsynchronised", None)
    quiet = None if chrony is None else quiet_s(chrony, memory, wall, steady)
    return ClockFacts(offset_s, quiet, jump_s, source)


def decide(
    facts: ClockFacts, settings: ClockConditions, host: str, now: float, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    """Findings about this host's clock."""
    findings = []
    alert, limit = f"clock:{host}:offset", settings.offset_s
    if limit is not None and facts.offset_s is not None:
        off = abs(facts.offset_s)
        if above(off, limit, is_open=alert in open_):
            text = f"the clock of {host} is {_side(facts.offset_s)} of NTP ({facts.source}), limit {limit:g} s"
            details = {"value": facts.offset_s, "limit": limit, "unit": "s"}
            findings.append(Finding(alert, text, 2 if off > _GRAVE * limit else 1, details))
    findings += _loose(facts, settings.unsynchronised_s, f"clock:{host}:unsynchronised", host, open_)
    return findings + _jumped(facts, settings.jump_s, f"clock:{host}:jump", host, now, open_.get(f"clock:{host}:jump"))


def _loose(
    facts: ClockFacts, limit: float | None, alert: str, host: str, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    if limit is None or facts.unsynchronised_s is None:
        return []
    if facts.unsynchronised_s > limit:
        held = "nothing has held" if facts.offset_s is None else "no time server has been heard to hold"
        advice = "does NTP run?" if facts.source == "kernel" else "chronyc sources says why"
        text = f"{held} the clock of {host} for {words_of_time(facts.unsynchronised_s)}: {advice}"
        return [Finding(alert, text, 1)]
    # A process that has just begun to look has not seen it for long, but it was told already.
    return [Finding(alert, open_[alert].message, 1)] if alert in open_ else []


def _jumped(
    facts: ClockFacts, limit: float | None, alert: str, host: str, now: float, before: OpenAlert | None
) -> list[Finding]:
    if limit is not None and abs(facts.jump_s) > limit:
        text = f"the clock of {host} jumped by {facts.jump_s:+.1f} s: times of frames around it are in doubt"
        return [Finding(alert, text, 1, {"value": facts.jump_s, "limit": limit, "unit": "s", "at": now})]
    if limit is not None and before is not None:
        at = before.details.get("at", before.raised_at)
        if abs(now - at) < _JUMP_OPEN_S:
            return [Finding(alert, before.message, before.severity, before.details)]
    return []


def _side(offset_s: float) -> str:
    return f"{abs(offset_s):.3g} s {'ahead' if offset_s > 0 else 'behind'}"


def look(eye: Eye) -> Report:
    """See the module."""
    owned = (f"clock:{eye.host}:",)
    settings = eye.settings.conditions.clock
    if settings is None:
        return Report(owned)
    facts = gather(eye.memory)
    points = () if facts.offset_s is None else (Point("clock", {"offset_s": facts.offset_s}, {"host": eye.host}),)
    return Report(owned, tuple(decide(facts, settings, eye.host, eye.now, eye.open)), points)
