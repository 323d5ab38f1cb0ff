"""What a remote is: a directory somewhere else that bundles go to and receipts come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

from transfer.documents import MAX_DOCUMENT, check_name
from transfer.errors import BadDocument

PART: Final = ".part"
TAIL: Final = 64 << 10  # bytes of an unfinished file that are compared before it is continued

OnBytes = Callable[[int], None]
Throttle = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RemoteStat:
    """Size in bytes and modification time in seconds since 1970 of a remote file."""

    size: int
    mtime: float


@dataclass(frozen=True, slots=True)
class Put:
    """A local file that is to be at the remote under a name.

    `then` is begun only when this one has its final name (a bundle's manifest after its bundle). With `skip_same_size`
    a file that is there under its final name with the same size is taken for the same.
    """

    local: Path
    name: str
    then: Put | None = None
    skip_same_size: bool = False


@dataclass(frozen=True, slots=True)
class LinkState:
    """What TCP says of the live connections: for choosing the number of streams and the size of batches.

    `round_trip_s` is the shortest that was seen, `loss` the fraction of segments that were sent again since the
    connections were made, `bytes_s` the recent rate of delivery over all of them, `streams` how many are up.
    """

    round_trip_s: float
    loss: float
    bytes_s: float | None
    streams: int


class Remote(Protocol):
    """A directory that may be far away.

    Names are relative paths with `/`, no `..`. Every call is idempotent and may be repeated after any error. Every call
    ends: each wait for the other side is limited by the remote's timeout. A connection is made by the first call, and
    again by the first call after `Unreachable`. Errors are `Unreachable` (later), `Refused` (a person), `NoSpace` (when
    there is room), `BadDocument` (a name that may not be), and nothing else, except an OSError of a *local* file.
    One thread uses a remote at a time; whatever it hands over is called from that thread (`throttle` from any).
    """

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """Copy a local file to the remote; the name appears at once and whole, in place of any file that had it.

        The bytes go to `name.part` first. A `.part` that is there is continued where its size and its last 64 KiB agree
        with the local file, else written anew; its size is verified before it is renamed. That every byte is right is
        for the receiver to verify, against the manifest. Missing directories are made. `on_bytes` is told of bytes as
        they leave, those that were there already included.
        """
        ...

    def put_all(
        self,
        puts: Iterable[Put],
        on_bytes: OnBytes | None = None,
        on_done: Callable[[Put], None] | None = None,
    ) -> None:
        """Put many files, several of them at the same time where that is faster; what is said of `put` holds for each.

        `puts` is asked for the next one only when that is needed to keep the link busy, so it may look at the world
        each time. `on_done` is called once per put, and per `then`, when its final name is acknowledged. The first
        error ends the asking; what has begun is brought to its end as far as that is possible, and reported; then the
        error is raised. An exception of the caller's own functions abandons what has begun.
        """
        ...

    def get_many(self, names: Sequence[str], limit: int = MAX_DOCUMENT) -> dict[str, bytes]:
        """Bytes of those files that exist; of one that is larger than `limit` the first `limit + 1`."""
        ...

    def link(self) -> LinkState | None:
        """How the connection is doing, or None when there is none."""
        ...

    def set_streams(self, streams: int) -> None:
        """How many connections to use, from the next `put` or `put_all` on."""
        ...

    def get_small(self, name: str, limit: int = MAX_DOCUMENT) -> bytes | None:
        """Bytes of a file of at most `limit` bytes (BadDocument if larger), or None when there is none."""
        ...

    def list(self, directory: str) -> tuple[str, ...]:
        """Sorted names in a directory; empty when there is none."""
        ...

    def stat(self, name: str) -> RemoteStat | None:
        """Size and time of a file, or None when there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        ...

    def free_bytes(self) -> int | None:
        """Free space in bytes, or None when the other side does not say."""
        ...

    def close(self) -> None:
        """Give the connection back; any call afterwards makes a new one."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """`with remote:` for everything that has `close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """See `Remote.close`."""


def check_remote_name(name: str) -> str:
    """The name, when it is a relative path that stays below the remote's directory; BadDocument otherwise."""
    if wrong := next((wrong for part in name.split("/") if (wrong := check_name(part))), None):
        raise BadDocument(f"remote name {name!r}: expected {wrong}")
    return name


def resume_offset(local: BinaryIO, size: int, there: int, tail: Callable[[int, int], bytes]) -> int:
    """Where to continue an unfinished copy of `there` bytes: at its end if its tail is the local file's, else at 0.

    `tail(offset, length)` reads the remote part.
    """
    if not 0 < there <= size:
        return 0
    start = max(0, there - TAIL)
    local.seek(start)
    return there if tail(start, there - start) == local.read(there - start) else 0
