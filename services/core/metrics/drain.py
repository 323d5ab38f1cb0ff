"""The writer that drains the spool into the server. Replays are harmless: same series and same nanosecond overwrite.

A batch is taken, posted, and only then forgotten; who is killed in between posts it once more. A refused batch is taken
apart until only what the server will never take is left, which is set aside with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.core.metrics.blocks import join, lines_of
from services.core.metrics.drainage import Waiting, settle, take
from services.core.metrics.influx import InfluxUnreachable, Post
from services.core.metrics.line import line
from services.core.metrics.refusal import Refusal, culprits, refusal_of, suspects
from services.core.metrics.spool import Spool

_TOO_LARGE: Final = Refusal("413: the body is too large", of_points=True)


@dataclass(frozen=True)
class Drained:
    """What one step did: points that left the spool, those of them set aside, bytes of the posts."""

    points: int = 0
    rejected: int = 0
    bytes: int = 0

    def __add__(self, other: Drained) -> Drained:
        return Drained(self.points + other.points, self.rejected + other.rejected, self.bytes + other.bytes)


class Drainer:
    """Drains one spool into one server."""

    def __init__(self, spool: Spool, post: Post, batch_points: int) -> None:
        self._spool = spool
        self._post = post
        self._batch = batch_points

    def step(self) -> Drained:
        """Deliver one batch, oldest first; no points when nothing was waiting.

        Raises
        ------
        InfluxUnreachable
            The batch stays in the spool, whatever of it was delivered; try again later.
        SpoolUnwritable
            It was delivered, and will be once more.
        """
        blocks = take(self._spool, self._batch)
        if not blocks:
            return Drained()
        body = join([block.body for block in blocks])
        refusal = _judged(self._post, body)
        points = sum(block.points for block in blocks)
        if refusal is None:
            settle(self._spool, blocks)
            return Drained(points, 0, len(body))
        return self._sifted(blocks, refusal, points)

    def _sifted(self, blocks: Sequence[Waiting], refusal: Refusal, points: int) -> Drained:
        lines = [text for block in blocks for text in lines_of(block.body)]
        sieve = _Sieve(self._post)
        sieve.take_apart(lines, refusal)
        if len(sieve.rejected) == len(lines) > 1 and not sieve.of_points:
            # Not one is good, and nothing was said of points: the request itself must be wrong (our settings, a proxy).
            raise InfluxUnreachable(f"InfluxDB refuses everything: {refusal.reason}")
        settle(self._spool, blocks, sieve.rejected)
        return Drained(points, len(sieve.rejected), sieve.bytes)

    def tell(self, drained: Drained, seconds: float) -> None:
        """Put a point of measurement `metrics_writer` beside the rest: what was posted, and what waits.

        It is posted directly and never lies in the spool, which would otherwise never be empty.

        Raises
        ------
        InfluxUnreachable
            It was not taken.
        """
        waiting, aside = self._spool.count()
        fields = {
            "points": drained.points,
            "rejected": drained.rejected,
            "bytes": drained.bytes,
            "seconds": seconds,
            "waiting": waiting,
            "waiting_bytes": self._spool.size(),
            "set_aside": aside,
        }
        text = line("metrics_writer", {"site": self._spool.site}, fields, time.time_ns())
        assert text is not None
        _judged(self._post, join([f"{text}\n".encode()]))


@dataclass
class _Sieve:
    """Takes a refused batch apart: in the end every line is delivered or in `rejected` (with its reason)."""

    post: Post
    rejected: list[tuple[str, str]] = field(default_factory=list)
    of_points: bool = False
    bytes: int = 0

    def take_apart(self, lines: Sequence[str], refusal: Refusal) -> None:
        """Of lines that were refused together."""
        self.of_points = self.of_points or refusal.of_points
        bad = culprits(refusal, lines)
        if bad:
            self.rejected += [(lines[index], reason) for index, reason in sorted(bad.items())]
            # The server may have written the others already. It is asked again, because only its yes counts.
            self._deliver([text for index, text in enumerate(lines) if index not in bad])
            return
        doubtful = set(suspects(refusal, lines))
        if 0 < len(doubtful) < len(lines):
            self._deliver([text for index, text in enumerate(lines) if index not in doubtful])
            self._deliver([text for index, text in enumerate(lines) if index in doubtful])
            return
        middle = len(lines) // 2
        self._deliver(lines[:middle])
        self._deliver(lines[middle:])

    def _deliver(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        body = join([("\n".join(lines) + "\n").encode()])
        self.bytes += len(body)
        refusal = _judged(self.post, body)
        if refusal is not None:
            self.take_apart(lines, refusal)


def _judged(post: Post, body: bytes) -> Refusal | None:
    """Post; None when taken, why not when that is the points' fault.

    Raises
    ------
    InfluxUnreachable
        Everything else: no answer, no such bucket, not let in, overloaded, a proxy's page.
    """
    answer = post.post(body)
    good = 200 <= answer.status < 300
    # A yes has no words. A page with status 200 is a proxy's, that asks to log in; a database may say what it left out.
    if good and not answer.body.strip():
        return None
    if answer.status == 413:
        return _TOO_LARGE
    refusal = refusal_of(answer.body) if good or answer.status in (400, 422) else None
    if refusal is None:
        words = " ".join(answer.body.decode("utf-8", "replace").split())[:200]
        raise InfluxUnreachable(f"InfluxDB answers {answer.status}: {words}", answer.retry_after_s)
    return refusal
