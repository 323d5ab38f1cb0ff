"""The protocol of a remote: the few operations that shipping needs, and what each of them promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

OnBytes = Callable[[int], None]


class Remote(Protocol):
    """A directory at the far end.

    Names are relative POSIX paths below the remote's root (`inbox/B.nfb`); a name that would leave it is a
    `ValueError`. Every operation has a timeout, may be repeated, and raises

    `Unreachable`
        no answer, or the connection broke: nothing is known about the last operation; connect again and repeat it.
    `Refused`
        host key, login or permission: a person must look.
    `NoSpace`
        the far disk is full.

    One remote is used by one thread at a time.
    """

    def put(self, local: Path, name: str, on_bytes: OnBytes | None = None) -> None:
        """Copy a file to `name`. Atomic: `name` appears whole, by a rename from `NAME.part`, or not at all.

        A `NAME.part` that was left behind is continued from its length after its content has been compared with the
        local file; otherwise it is written anew. An existing `name` is replaced. `on_bytes` is told the number of
        bytes that have gone so far, from time to time.
        """
        ...

    def get(self, name: str, limit: int) -> bytes | None:
        """Content of a small file, or None when it is not there. More than `limit` bytes are `Refused`."""
        ...

    def names(self, directory: str) -> list[str]:
        """Sorted names in a directory; empty when there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; not being there is fine."""
        ...

    def free_bytes(self) -> int | None:
        """Free space at the far end, or None when it cannot be told."""
        ...

    def close(self) -> None:
        """Give the connection back. Never raises."""
        ...
