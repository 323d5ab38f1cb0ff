"""What a transport gives: an SSH connection that is let in, and pipes to SFTP servers through it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transfer.remotes.sftp.session import Pipe


@dataclass(frozen=True, slots=True)
class Address:
    """Where to, as whom, and whom to trust.

    `key_file` is a private key without passphrase (there are no passwords and no agent); `known_hosts` has the host's
    key; `timeout_s` is the longest wait for the other side in any one step.
    """

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    timeout_s: float

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Line(Protocol):
    """An SSH connection. `connect` and `pipe` raise `TransferError` only; `close` may come from any thread."""

    def connect(self) -> None:
        """Connect and log in."""
        ...

    def pipe(self) -> Pipe:
        """A new pipe to an SFTP server of its own."""
        ...

    @property
    def most_pipes(self) -> int:
        """How many pipes it can carry."""
        ...

    @property
    def sock(self) -> socket.socket | None:
        """Its TCP socket, when that is known."""
        ...

    def close(self) -> None:
        """End it and everything that waits for it."""
        ...
