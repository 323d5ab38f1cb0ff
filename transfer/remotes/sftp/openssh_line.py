"""The transport `openssh`: a child process `ssh -s … sftp` for each connection."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from typing import Final

from transfer.errors import HostKeyMismatch, Refused, TransferError, Unreachable
from transfer.remotes.sftp import tcp
from transfer.remotes.sftp.line import Address

BUFFER: Final = 1 << 20  # bytes between us and the child
RECEIVE: Final = 64 << 10
WORDS_KEPT: Final = 8 << 10  # bytes of what the child complains of
END_S: Final = 2.0


class OpensshLine:
    """See `Line`: one child, one pipe."""

    most_pipes: Final = 1

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pipe: OpensshPipe | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def sock(self) -> socket.socket | None:
        """See `Line`."""
        return self._pipe.tcp if self._pipe is not None else None

    def connect(self) -> None:
        """See `Line`: the child connects by itself, its pipe's greeting shows how that went."""
        for path, what in (
            (self._address.known_hosts, "whom to trust is not known"),
            (self._address.key_file, "no key"),
        ):
            try:
                with path.open("rb"):
                    pass
            except OSError as error:
                raise Refused(f"{path}: {error.strerror}: {what}") from error

    def pipe(self) -> OpensshPipe:
        """See `Line`."""
        with self._lock:
            if self._closed:
                raise Unreachable(f"{self._address}: the connection is closed")
            self._pipe = OpensshPipe(self._address)
            return self._pipe

    def close(self) -> None:
        """See `Line`."""
        with self._lock:
            self._closed = True
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()


class OpensshPipe:
    """See `Pipe`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        binary = shutil.which("ssh")
        if binary is None:
            raise Refused("there is no ssh on this host: install openssh-client or use the transport paramiko")
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            try:
                self._child = subprocess.Popen(
                    [binary, *ssh_arguments(address)],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                )
            except OSError as error:
                ours.close()
                raise Refused(f"{binary} cannot be started: {error.strerror}") from error
        self._socket = ours
        self._said = b""
        self._closing = threading.Lock()
        self._ended = False
        self.tcp: socket.socket | None = None
        self._listener = threading.Thread(target=self._listen, name="ssh-stderr", daemon=True)
        self._listener.start()

    def settimeout(self, seconds: float | None) -> None:
        """See `Pipe`; when the limit is taken away the session is up, and its TCP socket can be tuned."""
        self._socket.settimeout(seconds)
        if seconds is None and self.tcp is None:
            self.tcp = tcp.socket_of(self._child.pid)
            if self.tcp is not None:
                tcp.tune(self.tcp, self._address.timeout_s)

    def send(self, parts: Sequence[bytes]) -> None:
        """See `Pipe`."""
        sent, total = self._socket.sendmsg(parts), sum(map(len, parts))
        if sent < total:
            self._socket.sendall(memoryview(b"".join(parts))[sent:])

    def recv(self) -> bytes:
        """See `Pipe`."""
        return self._socket.recv(RECEIVE)

    def why(self) -> TransferError | None:
        """See `Pipe`: what the child said before it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(END_S)
        self._listener.join(END_S)
        return complaint(self._address, self._said.decode("utf-8", "replace"))

    def acknowledged(self) -> int:
        """See `Pipe`."""
        state = tcp.info(self.tcp) if self.tcp is not None else None
        return state.acknowledged if state is not None else 0

    def close(self) -> None:
        """See `Pipe`: the child ends with its input, or is made to."""
        with self._closing:
            if self._ended:
                return
            self._ended = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._child.terminate()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._listener.join(END_S)
        self._socket.close()
        if self.tcp is not None:
            self.tcp.close()

    def _listen(self) -> None:
        stream = self._child.stderr
        assert stream is not None
        with stream:
            while data := os.read(stream.fileno(), 4096):
                self._said = (self._said + data)[-WORDS_KEPT:]


def ssh_arguments(address: Address) -> list[str]:
    """How `ssh` is called: no configuration of the user's or the host's, no questions, no key but ours."""
    timeout = max(1, round(address.timeout_s))
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(str(address.known_hosts)),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": timeout,
        "ServerAliveInterval": max(1, timeout // 3),
        "ServerAliveCountMax": 3,
        "Ciphers": "^aes128-gcm@openssh.com",
        "Compression": "no",
        "ClearAllForwardings": "yes",
        "ControlPath": "none",
        "LogLevel": "ERROR",
        "IdentityFile": _quoted(str(address.key_file)),
    }
    chosen = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["-F", "none", "-T", *chosen, "-p", str(address.port), "-l", address.user, "-s", "--", address.host, "sftp"]


def complaint(address: Address, said: str) -> TransferError | None:
    """What `ssh` wrote to its standard error, as an error; None when it said nothing."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return None
    if "IDENTIFICATION HAS CHANGED" in said or "host key mismatch" in said.lower():
        return HostKeyMismatch(f"{address} shows another host key than {address.known_hosts} has")
    if "Host key verification failed" in said:
        return HostKeyMismatch(f"{address} shows a host key that {address.known_hosts} does not have")
    key_trouble = ("Load key", "UNPROTECTED PRIVATE KEY", "invalid format", "error in libcrypto")
    if "Permission denied" in said and any(words in said for words in key_trouble):
        return Refused(f"{address.key_file} is not a private key that can be used: {lines[0][:200]}")
    if "Permission denied" in said or "Too many authentication failures" in said:
        return Refused(f"{address} does not let {address.user} in with {address.key_file}")
    if "subsystem request failed" in said:
        return Refused(f"{address} has no SFTP for {address.user}")
    if "Bad configuration option" in said or "unknown option" in said:
        return Refused(f"this host's ssh does not take our options: {lines[0][:200]}")
    return Unreachable(f"{address}: {lines[-1][:200]}")


def _quoted(path: str) -> str:
    """A path in an option of ssh: `%` begins a token, quotes hold spaces together."""
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
