"""How every parameter of a source stands."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from services.housekeeping.limits.table import CHANNELS, IDENTITY, KINDS, Table
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import NEVER, Verdict, alert_name

_SEVERE: Final = np.array(["error" in channel or index == IDENTITY for index, channel in enumerate(CHANNELS)])


def verdicts_of(source: str, track: Track, table: Table) -> dict[tuple[str, str], Verdict]:
    """Of every parameter with a rule, by (source, parameter)."""
    on = track.machine.on.reshape(len(CHANNELS), -1)
    stirred = (on.any(axis=0) | track.stale).tolist()
    found = {}
    values, times = track.value.tolist(), track.last_ns.tolist()
    for column, name in enumerate(track.names):
        rule = table.rules[column]
        if rule is None:
            continue
        text = track.texts.get(name)
        verdict, kinds = ("unknown" if times[column] == NEVER else "ok"), tuple[str, ...]()
        if stirred[column]:
            kinds = tuple(kind for kind, channels in KINDS.items() if on[list(channels), column].any())
            severe = bool(on[_SEVERE, column].any()) or int(track.severity[:, column].max()) == 2
            if track.stale[column]:
                kinds += ("stale",)
                severe = severe or rule.severity.stale == 2
            verdict = "error" if severe else "warning"
        value = math.nan if text is not None else values[column]
        found[source, name] = Verdict(verdict, kinds, value, text, times[column])
    return found


def open_alerts(source: str, track: Track) -> list[tuple[str, int]]:
    """Names and severities of the alerts about parameters that were said to be open."""
    kinds = list(KINDS)
    told = [
        (alert_name(source, track.names[column], kinds[kind]), int(track.severity[kind, column]))
        for kind, column in np.argwhere(track.severity > 0).tolist()
    ]
    return told + [(alert_name(source, track.names[column], "stale"), 1) for column in np.flatnonzero(track.stale)]
