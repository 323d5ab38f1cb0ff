"""The demo's mail server: a real one (aiosmtpd) on loopback, which keeps every message as a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.demo.ports import free_port

SENDER = "nightferry@example.org"


def mail_is_possible() -> bool:
    """Whether the mail server, and what sends mail, are installed."""
    try:
        import aiosmtpd.controller  # noqa: F401
        import apprise  # noqa: F401
    except ImportError:
        return False
    return True


class _Handler:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 - aiosmtpd's name
        self._number += 1
        (self._directory / f"{self._number:03d}.eml").write_bytes(envelope.content)
        return "250 OK"


@contextmanager
def mailbox(directory: Path) -> Iterator[str]:
    """Run the server; gives the address of the channel, with the place of the receiver. Messages go to `directory`."""
    from aiosmtpd.controller import Controller

    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    server = Controller(_Handler(directory), hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield f"mailto://127.0.0.1:{port}/?from={SENDER}&to={{to}}&mode=insecure"
    finally:
        server.stop()
