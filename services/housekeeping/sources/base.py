"""What every source of housekeeping promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from services.core.errors import ServiceError
from services.housekeeping.samples import Samples

Position = Mapping[str, Any]
MAX_BAD: Final = 200  # rows set aside in one batch that are kept with their words; the rest are only counted


class SourceUnreachable(ServiceError):
    """The source does not answer (a directory, a broker, a database): try later; other sources go on."""


@dataclass(frozen=True)
class BadRow:
    """A row that nobody can use: where it stands (`line` 0: the origin has no lines), why, and how it begins."""

    origin: str
    line: int
    reason: str
    text: str


class Bad:
    """Rows that are set aside: all counted, the first of a batch kept."""

    def __init__(self) -> None:
        self.count = 0
        self.rows: list[BadRow] = []

    def add(self, origin: str, line: int, reason: str, text: str) -> None:
        """Set a row aside."""
        self.count += 1
        if len(self.rows) < MAX_BAD:
            self.rows.append(BadRow(origin, line, reason, text[:120]))


@dataclass(frozen=True)
class Batch:
    """What one look at a source gave.

    Attributes
    ----------
    samples : tuple of Samples
        New rows, in the order in which the limits shall see them.
    positions : mapping of key to position
        Where the source stands when these rows are safe; JSON. Only keys that changed; None: the key is forgotten.
    bad : tuple of BadRow
        Rows that were set aside, the first of them; `bad_count` is all of them.
    notes : mapping of str to int
        What was noticed: rows `repeated`, `clock_back`, `clock_ahead`, `late`; files read from their start `again`.
    more : bool
        There is more to be had at once.
    trouble : str
        What could not be read (a file without permission) while the rest was: as if the source did not answer.
    """

    samples: tuple[Samples, ...] = ()
    positions: Mapping[str, Position | None] = field(default_factory=dict)
    bad: tuple[BadRow, ...] = ()
    bad_count: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    more: bool = False
    trouble: str = ""

    @property
    def empty(self) -> bool:
        """Nothing to be kept."""
        return not (self.samples or self.positions or self.bad_count)


class Source(Protocol):
    """A source of housekeeping, made with the positions that were last stored for it.

    `poll` gives what is new since the last batch that was committed, oldest first. It may block; it is called from one
    thread, and not again before `committed` when its batch was not empty. The caller makes the rows of a batch safe
    and stores its positions in one transaction; only then does it call `committed`, where a source acknowledges (to a
    broker, to whoever pushed). A process that dies before is started with the older positions, and is given the
    same rows again: rows may come twice then, never not at all. What is fed by them is idempotent or is restored
    to the same transaction.

    `poll` raises `SourceUnreachable`, and may be called again later; nothing is lost by it. Rows that cannot be used
    are set aside in the batch and do not raise. `close` may be called from another thread and gives everything back.
    """

    def poll(self, now_ns: int) -> Batch:
        """What is new; `now_ns` is our clock, nanoseconds since 1970 UTC."""
        ...

    def committed(self) -> None:
        """The last batch is safe."""
        ...

    def close(self) -> None:
        """Stop listening, close files and connections."""
        ...
