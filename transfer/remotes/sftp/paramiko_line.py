"""The transport `paramiko`: SSH within this process."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from transfer.errors import TransferError, Unreachable
from transfer.remotes.sftp import tcp
from transfer.remotes.sftp.lean import GCM, REKEY_BYTES, lean_sender
from transfer.remotes.sftp.line import Address
from transfer.remotes.sftp.login import login
from transfer.remotes.sftp.words import words

if TYPE_CHECKING:
    import paramiko

KEEPALIVE_S: Final = 15
RECEIVE: Final = 64 << 10


class ParamikoLine:
    """See `Line`."""

    most_pipes: Final = 8  # sshd's MaxSessions is 10

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._ssh: paramiko.SSHClient | None = None
        self._closed = False

    @property
    def sock(self) -> socket.socket | None:
        """See `Line`."""
        return self._socket

    def connect(self) -> None:
        """See `Line`; a connection that failed may be tried again."""
        address = self._address
        try:
            sock = tcp.connect(address.host, address.port, address.timeout_s, self._keep)
        except OSError as error:
            raise Unreachable(f"{address}: {words(error)}") from error
        self._ssh = login(address, sock)
        transport = self._transport()
        transport.set_keepalive(KEEPALIVE_S)
        if transport.local_cipher in GCM:
            transport.packetizer.REKEY_BYTES = REKEY_BYTES
        if self._closed:
            self.close()
            raise Unreachable(f"{address}: closed")

    def pipe(self) -> ParamikoPipe:
        """See `Line`."""
        from paramiko.common import cMSG_CHANNEL_REQUEST
        from paramiko.message import Message
        from paramiko.ssh_exception import SSHException

        try:
            transport = self._transport()
            channel = transport.open_session(timeout=self._address.timeout_s)
            request = Message()  # `invoke_subsystem` without its wait: the session's greeting follows at once
            request.add_byte(cMSG_CHANNEL_REQUEST)
            request.add_int(channel.remote_chanid)
            request.add_string("subsystem")
            request.add_boolean(True)
            request.add_string("sftp")
            transport._send_user_message(request)
        except (OSError, EOFError, SSHException) as error:
            raise Unreachable(f"{self._address}: no channel: {words(error)}") from error
        return ParamikoPipe(channel, self._socket)

    def close(self) -> None:
        """See `Line`."""
        self._closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._ssh is not None:
            with contextlib.suppress(Exception):  # a dead connection has nothing left to say
                self._ssh.close()
        if self._socket is not None:
            self._socket.close()

    def _keep(self, sock: socket.socket) -> None:
        self._socket = sock
        if self._closed:
            raise ConnectionError("closed")

    def _transport(self) -> Any:
        transport = self._ssh.get_transport() if self._ssh is not None else None
        if transport is None:
            raise Unreachable(f"{self._address}: the connection is closed")
        return transport


class ParamikoPipe:
    """See `Pipe`."""

    def __init__(self, channel: paramiko.Channel, sock: socket.socket | None) -> None:
        self._channel = channel
        self._socket = sock
        self._lean = lean_sender(channel)

    def settimeout(self, seconds: float | None) -> None:
        """See `Pipe`."""
        self._channel.settimeout(seconds)

    def send(self, parts: Sequence[bytes]) -> None:
        """See `Pipe`."""
        from paramiko.ssh_exception import SSHException

        try:
            if self._lean is not None:
                self._lean.send(parts)
            else:
                self._channel.sendall(b"".join(parts))
        except SSHException as error:
            raise ConnectionError(words(error)) from error

    def recv(self) -> bytes:
        """See `Pipe`."""
        return self._channel.recv(RECEIVE)

    def why(self) -> TransferError | None:
        """See `Pipe`."""
        return None

    def acknowledged(self) -> int:
        """See `Pipe`."""
        state = tcp.info(self._socket) if self._socket is not None else None
        return state.acknowledged if state is not None else 0

    def close(self) -> None:
        """See `Pipe`."""
        with contextlib.suppress(Exception):  # it may be closed, or its connection broken
            self._channel._unlink()  # type: ignore[attr-defined]
