"""The packets that a server sends: never trusted, `Unreachable` when they are not what the draft says."""

from __future__ import annotations

from typing import Final

from transfer.errors import Unreachable
from transfer.remotes.sftp import wire

MAX_REPLY: Final = (256 << 10) + 1024  # OpenSSH answers with at most 256 KiB; a longer packet is an attack or rubbish
MAX_HANDLE: Final = 256

_VERSION, _STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY = 2, 101, 102, 103, 104, 105, 201
_SIZE, _OWNER, _MODE, _TIMES, _MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000


class Splitter:
    """A stream of bytes → packets; Unreachable when one claims a length that no server needs."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now, without their lengths."""
        self._buffer += data
        packets, at = [], 0
        while len(self._buffer) - at >= 4:
            length = int.from_bytes(self._buffer[at : at + 4], "big")
            if not 1 <= length <= MAX_REPLY:
                raise Unreachable(f"the server sent a packet of {length} bytes, which is no SFTP")
            if len(self._buffer) - at - 4 < length:
                break
            packets.append(bytes(self._buffer[at + 4 : at + 4 + length]))
            at += 4 + length
        del self._buffer[:at]
        return packets


class _Fields:
    """The fields of a packet from the left; Unreachable where it ends too early."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._packet):
            raise Unreachable("the server sent a malformed SFTP packet")
        value, self._at = self._packet[self._at : end], end
        return value

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        return self.take(self.number())

    @property
    def left(self) -> int:
        return len(self._packet) - self._at

    def rest(self) -> bytes:
        return self.take(self.left)

    def attributes(self) -> wire.Attributes:
        flags = self.number()
        size = self.number(8) if flags & _SIZE else 0
        if flags & _OWNER:
            self.take(8)
        mode = self.number() if flags & _MODE else 0
        mtime = (self.number(), self.number())[1] if flags & _TIMES else 0
        if flags & _MORE:
            for _ in range(self.number()):
                self.text()
                self.text()
        return wire.Attributes(size, mode, mtime)


def parse_hello(packet: bytes) -> frozenset[bytes]:
    """wire.Names of the server's extensions from its first packet; Unreachable when it speaks another version."""
    fields = _Fields(packet)
    kind, version = fields.number(1), fields.number()
    if (kind, version) != (_VERSION, wire.VERSION):
        raise Unreachable(f"the server does not speak SFTP {wire.VERSION}: it answers type {kind}, version {version}")
    names = set()
    while fields.left:
        names.add(fields.text())
        fields.text()
    return frozenset(names)


def parse_reply(packet: bytes) -> tuple[int, wire.Reply]:
    """The request's id and what is answered; Unreachable when it is malformed."""
    fields = _Fields(packet)
    kind, number = fields.number(1), fields.number()
    if kind == _STATUS:
        code = fields.number()
        message = fields.text() if fields.left else b""  # some servers leave it out
        return number, wire.Status(code, message.decode("utf-8", "replace"))
    if kind == _HANDLE:
        handle = fields.text()
        if len(handle) > MAX_HANDLE:
            raise Unreachable(f"the server sent a handle of more than {MAX_HANDLE} bytes")
        return number, wire.Handle(handle)
    if kind == _DATA:
        return number, wire.Data(fields.text())
    if kind == _NAME:
        return number, wire.Names(tuple(_name(fields) for _ in range(fields.number())))
    if kind == _ATTRS:
        return number, fields.attributes()
    if kind == _EXTENDED_REPLY:
        return number, wire.Extended(fields.rest())
    raise Unreachable(f"the server sent an SFTP packet of unknown type {kind}")


def _name(fields: _Fields) -> str:
    name = fields.text().decode("utf-8", "surrogateescape")
    fields.text()  # the line as `ls -l` shows it
    fields.attributes()
    return name
