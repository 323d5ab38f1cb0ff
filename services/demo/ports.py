"""Ports of loopback for servers of our own, which nobody else is given while the server is not listening."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Final

_LOWEST: Final = 10_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port of loopback, for TCP and UDP, that is free and stays ours as long as this process lives.

    The kernel gives the ports of its local range to every outgoing connection: one of those that was free a moment
    ago may be another's when the server wants it. So the port comes from below that range, and other processes that
    ask here are told of it by a name in the abstract namespace, which goes with the process (unix(7)).

    Raises
    ------
    OSError
        A thousand ports were tried, and all are taken.
    """
    ceiling = int(_RANGE.read_text(encoding="ascii").split()[0]) if _RANGE.exists() else 32_768
    for _ in range(1000):
        port = random.randrange(_LOWEST, max(ceiling, _LOWEST + 1000))  # not a secret
        if (mark := _reserve(port)) is None:
            continue
        if _is_free(port):
            mark.detach()  # it stays open until the process ends
            return port
        mark.close()
    raise OSError("no free port on loopback")


def _reserve(port: int) -> socket.socket | None:
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0nightferry-port-{port}")
    except OSError:
        mark.close()
        return None
    return mark


def _is_free(port: int) -> bool:
    with contextlib.ExitStack() as stack:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = stack.enter_context(socket.socket(type=kind))
            try:
                sock.bind(("", port))  # all addresses: a chronyd listens on others than 127.0.0.1
            except OSError:
                return False
    return True
