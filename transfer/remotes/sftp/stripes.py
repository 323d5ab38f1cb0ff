"""Which pieces of a file are on their way and which have arrived, when several connections carry them."""

from __future__ import annotations


class Stripes:
    """The pieces of a file from `start` to `size`, handed out in order, acknowledged in any order.

    No piece is handed out that ends more than `window` bytes behind the first byte that has not arrived: an unfinished
    copy of `n` bytes therefore holds its first `n - window` bytes, whatever became of those that sent it.
    """

    def __init__(self, start: int, size: int, piece: int, window: int | None) -> None:
        self._start = start
        self._size = size
        self._piece = piece
        self._window = window
        self._count = -(-(size - start) // piece)
        self._first = 0  # the first piece that has not arrived
        self._next = 0
        self._arrived: set[int] = set()  # pieces behind the first that has not
        self._sent = 0  # pieces that are handed out, and sent to the end
        self._arrived_bytes = 0

    @property
    def start(self) -> int:
        """Offset of the first piece."""
        return self._start

    @property
    def prefix(self) -> int:
        """Everything before this offset has arrived."""
        return min(self._size, self._start + self._first * self._piece)

    @property
    def reach(self) -> int:
        """Nothing behind this offset has arrived."""
        last = max(self._arrived, default=self._first - 1)
        return min(self._size, self._start + (last + 1) * self._piece)

    @property
    def left(self) -> int:
        """Bytes that have not arrived."""
        return self._size - self._start - self._arrived_bytes

    @property
    def all_sent(self) -> bool:
        """Whether the last piece has left."""
        return self._sent >= self._count

    @property
    def all_arrived(self) -> bool:
        """Whether every piece is acknowledged."""
        return self._first >= self._count

    def available(self) -> bool:
        """Whether `take` has a piece now."""
        while self._next in self._arrived:
            self._next += 1
        if self._next >= self._count:
            return False
        end = min(self._size, self._start + (self._next + 1) * self._piece)
        return self._window is None or end <= max(self.prefix + self._window, self._start + self._piece)

    def take(self) -> tuple[int, int, int] | None:
        """Number, offset and length of the next piece to send; None when it must wait or there is none."""
        if not self.available():
            return None
        number, self._next = self._next, self._next + 1
        offset = self._start + number * self._piece
        return number, offset, min(self._piece, self._size - offset)

    def sent(self) -> None:
        """One piece has left."""
        self._sent += 1

    def arrived(self, number: int) -> None:
        """A piece is acknowledged."""
        if number < self._first or number in self._arrived:
            return
        self._arrived.add(number)
        self._arrived_bytes += min(self._piece, self._size - self._start - number * self._piece)
        while self._first in self._arrived:
            self._arrived.remove(self._first)
            self._first += 1

    def again(self) -> None:
        """What has not arrived is handed out again: the connections it went by are gone."""
        self._next = self._first
        self._sent = self._first + len(self._arrived)
