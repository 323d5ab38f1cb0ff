"""One file on its way to the server: the script of its put, its pieces, and what is remembered of it."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from transfer.errors import Unreachable
from transfer.remotes.base import PART, TAIL, Put
from transfer.remotes.sftp import scripts, wire
from transfer.remotes.sftp.session import Session
from transfer.remotes.sftp.stripes import Stripes
from transfer.remotes.sftp.task import Script, Task, Until

STRIPED: Final = ".striped" + PART  # it may have holes in its last `WINDOW` bytes
STRIPED_FROM: Final = 8 << 20
WINDOW: Final = 32 << 20
TAIL_READ: Final = 32 << 10  # what every server must give at once


@dataclass(slots=True)
class Memory:
    """The pieces of a striped part that have arrived, and of which local file."""

    identity: tuple[int, int, int]
    stripes: Stripes


class Upload:
    """A put that has begun. Everything is called with the board's lock held, except `read`."""

    def __init__(self, put: Put, path: str, home: Session, *, parallel: bool, memory: Memory | None) -> None:
        self.put = put
        self.home = home
        self._source: BinaryIO = put.local.open("rb")
        status = os.fstat(self._source.fileno())
        self.size = status.st_size
        self.identity = (self.size, status.st_mtime_ns, status.st_ino)
        self._memory = memory if memory is not None and memory.identity == self.identity else None
        self.path = path
        self._stale: str | None = None  # an unfinished copy under the other name
        self.striped = parallel and self.size > STRIPED_FROM
        self.part = path + (STRIPED if self.striped else PART)
        self.reading = 0  # pieces of the local file that are being read
        self.handles: dict[Session, bytes] = {}
        self.opening: set[Session] = set()
        self.stripes: Stripes | None = None
        self.skipped = False
        self.ended = False
        self.task: Task[None] | None = None
        home.load += self.size

    @property
    def left(self) -> int:
        """Bytes that have not arrived."""
        return self.size if self.stripes is None else self.stripes.left

    @property
    def ahead(self) -> bool:
        """Whether some of it has still to leave."""
        return self.stripes is None or not self.stripes.all_sent

    def memory(self) -> Memory | None:
        """What a later put of the same file may build on, when this one is over."""
        if not self.striped or self.stripes is None:
            return self._memory
        self.stripes.again()
        return Memory(self.identity, self.stripes)

    def pread(self, offset: int, length: int) -> bytes:
        """Bytes of the local file; OSError also when it is shorter than it was."""
        data = os.pread(self._source.fileno(), length, offset)
        if len(data) != length:
            raise OSError(errno.EIO, "the file became shorter while it was sent", str(self.put.local))
        return data

    def poke(self) -> None:
        """Something happened that the script may be waiting for."""
        if self.task is not None:
            self.task.poke()

    def close(self) -> None:
        """The put is over, one way or the other."""
        self.ended = True
        self.home.load -= self.size
        if self.task is not None:
            self.task.cancel()
        self.close_source()

    def close_source(self) -> None:
        """Close the local file, unless a piece of it is being read just now."""
        if self.ended and not self.reading:
            self._source.close()

    def script(self, planned: Callable[[int], None]) -> Script[None]:
        """Find what is there, wait for the pieces that the sessions send, make sure of them, give the file its name.

        `planned` is told how many bytes are there already, when the pieces may go.
        """
        there, exact = yield from self._open()
        if self.skipped:
            return
        yield from self._plan(there, exact)
        stripes = self.stripes
        assert stripes is not None
        planned(self.size - stripes.left)
        yield Until(lambda: stripes.all_arrived if self.striped else stripes.all_sent)
        yield from self._make_sure(stripes)
        yield from scripts.rename_over(self.part, self.path, self.home.extensions)
        if self._stale is not None:
            yield from scripts.remove(self._stale)

    def _open(self) -> Script[tuple[int, bool]]:
        """Open the part; how long it is, and whether that is how much of it has arrived."""
        names = [self.path, self.path + PART, self.path + STRIPED]
        flight = [*(wire.on_path(wire.STAT, name) for name in names), wire.open_file(self.part, wire.FOR_WRITING)]
        *found, opened = yield flight
        if scripts.is_missing(opened):
            yield from scripts.make_dirs(posixpath.dirname(self.path))
            *found, opened = yield flight
        final, plain, striped = (scripts.attributes(*each) for each in zip(found, names, strict=True))
        self.handles[self.home] = scripts.handle(opened, self.part)
        if self.put.skip_same_size and final is not None and final.size == self.size:
            self.skipped = True
            yield from scripts.close_all([self.handles.pop(self.home)])
            yield [wire.on_path(wire.REMOVE, name) for name in names[1:]]
            return 0, True
        return (yield from self._choose(plain.size if plain else 0, striped.size if striped else 0))

    def _choose(self, plain: int, striped: int) -> Script[tuple[int, bool]]:
        """Which unfinished copy to continue, of a sequential one and a striped one."""
        if self.striped and plain and not striped:  # a sequential one goes on as a striped one
            yield from scripts.close_all([self.handles.pop(self.home)])
            yield from scripts.rename_over(self.path + PART, self.part, self.home.extensions)
            yield from self._reopen()
            return plain, True
        if not self.striped and striped:
            yield from scripts.close_all([self.handles.pop(self.home)])
            self._stale, self.part, self.striped = self.part, self.path + STRIPED, True
            yield from self._reopen()
        elif self.striped and plain:
            self._stale = self.path + PART
        return (striped, False) if self.striped else (plain, True)

    def _reopen(self, more: int = 0) -> Script[None]:
        (opened,) = yield [wire.open_file(self.part, wire.FOR_WRITING | more)]
        self.handles[self.home] = scripts.handle(opened, self.part)

    def _plan(self, there: int, exact: bool) -> Script[None]:
        """Decide which pieces are still to be sent, given an unfinished copy of `there` bytes."""
        known = self._memory.stripes if self._memory is not None and self.striped else None
        if known is not None and known.reach <= there <= self.size:
            known.again()
        else:
            start = there if exact else max(0, there - WINDOW)
            known = self._pieces(start if there <= self.size else 0)
        if not (yield from self._fits(known.prefix)):
            known = self._pieces(0)
        if there and not known.reach:  # the first piece may be missing where later ones, by other ways, have arrived
            yield from scripts.close_all([self.handles.pop(self.home)])
            yield from self._reopen(wire.ANEW)
        self.stripes = known

    def _pieces(self, start: int) -> Stripes:
        return Stripes(start, self.size, self.home.write_size, WINDOW if self.striped else None)

    def _fits(self, end: int) -> Script[bool]:
        """Whether the part's bytes before `end` are the local file's, as far as they are compared."""
        spans = [(at, min(TAIL_READ, end - at)) for at in range(max(0, end - TAIL), end, TAIL_READ)]
        if not spans:
            return True
        replies = yield [wire.read(self.handles[self.home], at, length) for at, length in spans]
        return all(
            isinstance(reply, wire.Data) and reply.value == self.pread(at, length)
            for reply, (at, length) in zip(replies, spans, strict=True)
        )

    def _make_sure(self, stripes: Stripes) -> Script[None]:
        """Bring the part to the server's disk and check its length, when every piece is acknowledged."""
        for session, handle in self.handles.items():
            if session is not self.home:
                session.begin(wire.on_handle(wire.CLOSE, handle), lambda _: None)
        handle = self.handles[self.home]
        flight = [wire.on_handle(wire.FSTAT, handle), wire.on_handle(wire.CLOSE, handle)]
        if wire.FSYNC in self.home.extensions:
            flight.insert(0, wire.extended(wire.FSYNC, wire.string(handle)))
        *synced, found, closed = yield flight
        self.handles.clear()
        yield Until(lambda: stripes.all_arrived)
        for reply in synced:  # a file system that cannot is no failure: the receipt, not this, says that it is safe
            if isinstance(reply, wire.Status) and reply.code == wire.FAILURE:
                raise scripts.failed(reply, self.part)
        arrived = scripts.attributes(found, self.part)
        if arrived is None or arrived.size != self.size:
            raise Unreachable(f"{self.part}: {arrived.size if arrived else 0} bytes arrived of {self.size}")
        scripts.check_ok(closed, self.part)
