"""TCP sockets for long fat links, and what the kernel knows about them (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transfer.remotes.base import LinkState

SEND_BUFFER: Final = 4 << 20
NOT_SENT: Final = 512 << 10  # bytes that wait in the kernel behind those in flight: short queues share a file evenly
LONG_S: Final = 0.005  # round trip of a long link
_NOTSENT_LOWAT: Final = 25  # linux/tcp.h
_PIDFD_GETFD: Final = 438  # the same number on every architecture


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """The fields of `struct tcp_info` (linux/tcp.h) that matter here; times in seconds."""

    round_trip_s: float
    resent: int
    segments: int
    acknowledged: int
    bytes_s: int


def connect(host: str, port: int, timeout_s: float, made: Callable[[socket.socket], None]) -> socket.socket:
    """A connection whose sender fills a long link; OSError when nobody answers.

    `made` is told of each socket before it connects, so that another thread can shut it down.
    """
    wrong: OSError = OSError("the host has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            made(sock)
            sock.settimeout(timeout_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            wrong = error
        else:
            tune(sock, timeout_s)
            return sock
    raise wrong


def tune(sock: socket.socket, timeout_s: float) -> None:
    """A large send buffer and an end when nothing is acknowledged for `timeout_s`; BBR and short queues on long links.

    On short links BBR's pacing and short queues cost more in wake-ups than they bring.
    """
    options: list[tuple[int, int, int | bytes]] = [
        (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(timeout_s * 1000))),
    ]
    if _is_long(sock):
        options.append((socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr"))
        options.append((socket.IPPROTO_TCP, _NOTSENT_LOWAT, NOT_SENT))
    for level, option, value in options:
        with contextlib.suppress(OSError):  # each of them is a help, none is needed
            sock.setsockopt(level, option, value)


def _is_long(sock: socket.socket) -> bool:
    state = info(sock)
    return state is not None and state.round_trip_s > LONG_S


def info(sock: socket.socket) -> TcpInfo | None:
    """What the kernel knows of a connection, or None."""
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return None
    if len(raw) < 168:
        return None
    smoothed, resent = struct.unpack_from("=I", raw, 68)[0], struct.unpack_from("=I", raw, 100)[0]
    (acknowledged,) = struct.unpack_from("=Q", raw, 120)
    shortest, segments, rate = (*struct.unpack_from("=I", raw, 148), *struct.unpack_from("=IQ", raw, 156))
    return TcpInfo((shortest or smoothed) / 1e6, resent, segments, acknowledged, rate)


def link_state(sockets: Iterable[socket.socket]) -> LinkState | None:
    """One state of several connections; None when there is none."""
    found = [each for each in map(info, sockets) if each is not None]
    if not found:
        return None
    segments = sum(each.segments for each in found)
    return LinkState(
        round_trip_s=min(each.round_trip_s for each in found),
        loss=min(1.0, sum(each.resent for each in found) / segments) if segments else 0.0,
        bytes_s=float(sum(each.bytes_s for each in found)) or None,
        streams=len(found),
    )


def socket_of(process: int) -> socket.socket | None:
    """A duplicate of the TCP socket of a child process of ours; None where the kernel does not allow that."""
    try:
        pidfd = os.pidfd_open(process)
    except OSError:
        return None
    try:
        for entry in sorted(Path(f"/proc/{process}/fd").iterdir()):
            if not str(entry.readlink()).startswith("socket:"):
                continue
            copied = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, int(entry.name), 0)
            if copied < 0:
                return None
            sock = socket.socket(fileno=copied)
            if sock.family in {socket.AF_INET, socket.AF_INET6} and sock.type == socket.SOCK_STREAM:
                return sock
            sock.close()
    except OSError:
        return None
    finally:
        os.close(pidfd)
    return None
