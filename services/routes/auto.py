"""Mode `auto`: batch size and number of streams from what the link and the backlog say. Pure decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_STREAMS = 16
WINDOW = 2 << 20  # bytes that OpenSSH lets a channel have in flight
GAIN = 1.1  # more streams must bring at least this much more, or the old number was enough


@dataclass(frozen=True)
class Sight:
    """What is seen of a route.

    Attributes
    ----------
    round_trip_s, loss
        Of the connections that are up: seconds, and the fraction of segments that were sent again.
    bytes_s : float or None
        What the last shipment moved per second, None when nothing was moved.
    frames, oldest_s
        Frames that wait, and since when the oldest of them does, seconds.
    frame_bytes : float
        Mean packed size of a frame; 0 when nothing was packed yet.
    """

    round_trip_s: float
    loss: float
    bytes_s: float | None
    frames: int
    oldest_s: float
    frame_bytes: float


@dataclass(frozen=True)
class Choice:
    """What is chosen; `bytes_s` is the rate that was seen with it, `tried` that more streams were tried from there."""

    batch_frames: int = 4
    streams: int = 4
    bytes_s: float = 0.0
    fewer: int = 0
    reason: str = ""


def choose(sight: Sight, current: Choice, most_batch: int) -> Choice:
    """The next choice; the same numbers when nothing speaks for a change.

    Streams: at least as many as the window of a channel needs to carry the measured rate over the round trip (rate ×
    round trip / window), one more for loss above 0.5 %. While a backlog waits they are doubled as long as that brings
    10 % more, and taken back when it does not. Without a backlog two do. Batch: one frame when nothing waits (it shall
    leave at once); with a backlog as many frames as the link carries in ten round trips, so that the waiting at the
    end of a bundle stays small against its sending.
    """
    streams, fewer = _streams(sight, current)
    batch = _batch(sight, most_batch)
    rate = sight.bytes_s if sight.bytes_s is not None else current.bytes_s
    if (batch, streams) == (current.batch_frames, current.streams):
        return Choice(batch, streams, rate, fewer, current.reason)
    return Choice(batch, streams, rate, fewer, _reason(sight))


def _streams(sight: Sight, current: Choice) -> tuple[int, int]:
    """Number of streams, and the number from which more were tried (0 when no trial is on)."""
    rate = sight.bytes_s or 0.0
    floor = max(1, math.ceil(rate * sight.round_trip_s / WINDOW)) + (1 if sight.loss > 0.005 else 0)
    if sight.frames == 0:
        return min(max(2, floor), MOST_STREAMS), 0
    if sight.bytes_s is None:
        return current.streams, current.fewer
    if current.fewer < 0:
        return current.streams, -1
    if current.fewer and rate < current.bytes_s * GAIN:
        return min(max(current.fewer, floor), MOST_STREAMS), -1  # it brought nothing: stay with what there was
    return min(max(2 * current.streams, floor), MOST_STREAMS), current.streams


def _batch(sight: Sight, most: int) -> int:
    if sight.frames <= 1:
        return 1
    if not sight.bytes_s or not sight.frame_bytes:
        return min(4, most)
    fitting = max(1.0, 10 * sight.round_trip_s * sight.bytes_s / sight.frame_bytes)
    # Powers of two, so that a rate that wavers does not change the choice all the time.
    return min(most, 1 << math.ceil(math.log2(min(fitting, most))))


def _reason(sight: Sight) -> str:
    rate = "nothing moved" if sight.bytes_s is None else f"{sight.bytes_s / 1e6:.1f} MB/s"
    return (
        f"round trip {1e3 * sight.round_trip_s:.0f} ms, {rate}, loss {100 * sight.loss:.2f} %, "
        f"{sight.frames} frames waiting, the oldest for {sight.oldest_s:.0f} s"
    )
