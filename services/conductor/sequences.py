"""Sequences that completed, and such that fell quiet before: what the dashboards mark in time.

A pure function of the frames in view, whose points are the same however often they are told.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from services.conductor.view import FrameView
from services.core.metrics.line import Field
from services.core.metrics.spool import Point


@dataclass(frozen=True)
class SequenceNews:
    """One thing that happened to a sequence, at `at` (seconds since 1970 UTC)."""

    instrument: str
    night: str
    obstype: str
    sequence: str
    what: Literal["complete", "incomplete"]
    exposures: int
    expected: int
    at: float

    @property
    def point(self) -> Point:
        """The point that tells it."""
        tags = {"instrument": self.instrument, "obstype": self.obstype, "what": self.what}
        count = f"{self.exposures} of {self.expected}"
        fields: dict[str, Field] = {
            "title": f"{self.obstype} {self.what}: {count}",
            "text": f"sequence {self.sequence} of {self.instrument}, night {self.night}: {count} exposures",
            "exposures": self.exposures,
            "expected": self.expected,
        }
        # Sequences that end in one bundle end at one time: their names tell their points apart.
        name_ns = zlib.crc32(self.sequence.encode()) % 1000
        return Point("sequence", fields, tags, round(self.at * 1e6) * 1000 + name_ns)


def sequence_news(frames: Iterable[FrameView], quiet_s: float, now: float) -> list[SequenceNews]:
    """What there is to tell of the sequences in view.

    Parameters
    ----------
    quiet_s : float
        A sequence to which no frame has come for so long comes to nothing more.
    now : float
        Seconds since 1970 UTC.
    """
    groups: dict[tuple[str, str, str], list[FrameView]] = {}
    for frame in frames:
        identity = frame.identity
        if identity.sequence is not None:
            groups.setdefault((identity.instrument, identity.night, identity.sequence.id), []).append(frame)
    news = (_news(key, group, quiet_s, now) for key, group in groups.items())
    return [item for item in news if item is not None]


def _news(key: tuple[str, str, str], frames: Sequence[FrameView], quiet_s: float, now: float) -> SequenceNews | None:
    detectors: dict[int, set[str]] = {}
    whole_at: dict[int, float] = {}  # when an exposure had all its detectors: what comes later changes nothing
    expected = max(frame.identity.sequence.total for frame in frames if frame.identity.sequence is not None)
    wanted = max(frame.identity.expected_detectors for frame in frames)
    for frame in sorted(frames, key=lambda frame: frame.arrived_at):
        place = frame.identity.sequence
        assert place is not None
        found = detectors.setdefault(place.num, set())
        found.update(frame.identity.detectors)
        if 1 <= place.num <= expected and len(found) >= wanted:
            whole_at.setdefault(place.num, frame.arrived_at)
    exposures = len(whole_at)
    last = max(frame.arrived_at for frame in frames)
    instrument, night, sequence = key
    obstype = frames[0].identity.obstype
    if exposures >= expected:
        completed = max(whole_at.values(), default=last)
        return SequenceNews(instrument, night, obstype, sequence, "complete", exposures, expected, completed)
    if now - last >= quiet_s:
        return SequenceNews(instrument, night, obstype, sequence, "incomplete", exposures, expected, last + quiet_s)
    return None
