"""What chronyd says of the clock: `chronyc -c tracking`, values between commas that no locale changes.

Sources: chronyc(1), 'tracking', and chrony 4.3 `client.c` (the order of the values; in `-c` an offset is positive when
the clock is slow). A chronyd whose servers are gone goes on saying `Normal`; only the time of its last update stands.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Final

_VALUES: Final = 14
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,9}")
_HELD: Final = frozenset(("Normal", "Insert second", "Delete second"))
_LOOSE: Final = "Not synchronised"
_ITSELF: Final = "7F7F0101"  # the directive `local`: chronyd serves this clock as it is, and follows nobody
_MISSED: Final = 4.0  # updates that may be missed: some polls get no good answer on any line


@dataclass(frozen=True)
class Tracking:
    """What chronyd knows.

    `offset_s`: our clock against NTP's time (positive: it is ahead), None when chronyd follows nobody;
    `updated_s`: when a server last told the time, seconds since 1970 by our clock; `interval_s`: between the last two.
    """

    offset_s: float | None
    updated_s: float = 0.0
    interval_s: float = 0.0


def tracking_of(line: str) -> Tracking | None:
    """What a line of `chronyc -c -n tracking` says; None when it is none."""
    values = line.removesuffix("\n").split(",")
    if len(values) != _VALUES or not re.fullmatch(r"[0-9A-F]{8}", values[0]):
        return None
    leap = values[13]
    if leap == _LOOSE or (leap in _HELD and values[0] == _ITSELF):
        return Tracking(None)
    numbers = [float(value) for value in (values[3], values[4], values[12]) if _NUMBER.fullmatch(value)]
    if leap not in _HELD or len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        return None
    updated_s, slow_s, interval_s = numbers
    return Tracking(-slow_s, updated_s, interval_s)


def ask_chrony() -> Tracking | None:
    """What chronyd says; None when there is none, or none that answers."""
    program = shutil.which("chronyc")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-c", "-n", "tracking"],
            check=False,
            capture_output=True,
            timeout=3.0,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tracking_of(done.stdout.decode("ascii", "replace")) if done.returncode == 0 else None


def quiet_s(tracking: Tracking, memory: dict[str, Any], wall: float, steady: float) -> float | None:
    """For how long chronyd has heard nothing that it believes, seconds; None while that is as usual.

    Counted on `steady`, a clock that nobody sets, from when an update was first seen; only one that was there before
    us has its age by `wall`.
    """
    before = memory.get("chrony")
    if before is None:
        memory["chrony"] = before = (tracking.updated_s, steady - max(0.0, wall - tracking.updated_s))
    elif before[0] != tracking.updated_s:
        memory["chrony"] = before = (tracking.updated_s, steady)
    age_s: float = steady - before[1]
    return age_s if age_s > _MISSED * max(tracking.interval_s, 1.0) else None
