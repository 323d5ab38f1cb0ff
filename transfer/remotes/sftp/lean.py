"""Channel data through paramiko's transport at the speed of AES-GCM (RFC 4254 section 5.2, RFC 5647).

paramiko builds each packet from many small pieces; most of its time goes there, not into the cipher. Here a batch of
packets is encrypted into one buffer and sent at once. It needs paramiko's inner attributes: where one of them is
missing, or another cipher is in use, the channel's own `sendall` does the work.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import paramiko

GCM: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
REKEY_BYTES: Final = 8 << 30  # RFC 4344 allows 64 GiB between key exchanges; each of them stops the link for a while
IN_PLACE: Final = "encrypt_into"  # only newer versions of cryptography have it
_BATCH: Final = 9  # packets: a WRITE of 255 KiB and its head
_TAG: Final = 16
_BLOCK: Final = 16
_OVERHEAD: Final = 4 + 1 + 9 + 2 * _BLOCK + _TAG
_CHANNEL_DATA: Final = 94
_INNER: Final = (
    "aead_out",
    "block_engine_out",
    "compress_engine_out",
    "iv_out",
    "sequence_number_out",
    "sent_bytes",
    "sent_packets",
    "need_rekey",
    "write_lock",
)


class LeanSender:
    """Sends over one channel; one thread uses it."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel: Any = channel
        self._transport: Any = channel.get_transport()
        self._packetizer: Any = self._transport.packetizer
        self._buffer = bytearray()

    def send(self, parts: Sequence[bytes]) -> None:
        """Send all of them as channel data; OSError or EOFError when the channel is closed."""
        spans: list[memoryview] = []
        for part in parts:
            left = memoryview(part)
            while left:
                if spans and (len(spans) == _BATCH or self._channel.out_window_size <= 0):
                    self._send_batch(spans)
                    spans = []
                with self._channel.lock:
                    size = self._channel._wait_for_send_window(len(left))
                if size == 0:
                    raise EOFError("the channel is closed")
                spans.append(left[:size])
                left = left[size:]
        if spans:
            self._send_batch(spans)

    def _send_batch(self, spans: Sequence[memoryview]) -> None:
        transport, packetizer = self._transport, self._packetizer
        self._wait_until_clear()
        try:
            with _get(packetizer, "write_lock"):
                if not _get(packetizer, "aead_out") or _get(packetizer, "compress_engine_out") is not None:
                    for span in spans:  # the last key exchange chose another cipher
                        transport._send_message(_message(self._channel.remote_chanid, span))
                    return
                length = self._encrypt(spans)
                packetizer.write_all(memoryview(self._buffer)[:length])
                self._count(len(spans), length)
        finally:
            transport.clear_to_send_lock.release()

    def _wait_until_clear(self) -> None:
        """Take the lock that holds user data back during a key exchange (`Transport._send_user_message`)."""
        transport, begun = self._transport, time.monotonic()
        while True:
            transport.clear_to_send.wait(0.1)
            if not transport.active:
                raise EOFError("the connection is closed")
            transport.clear_to_send_lock.acquire()
            if transport.clear_to_send.is_set():
                return
            transport.clear_to_send_lock.release()
            if time.monotonic() - begun > transport.clear_to_send_timeout:
                raise TimeoutError("a key exchange does not end")

    def _encrypt(self, spans: Sequence[memoryview]) -> int:
        """Fill the buffer with the packets of a batch; their length."""
        packetizer = self._packetizer
        engine, iv = _get(packetizer, "block_engine_out"), _get(packetizer, "iv_out")
        in_place = getattr(engine, IN_PLACE, None)
        fixed, counter = iv[:4], int.from_bytes(iv[4:], "big")
        needed = sum(map(len, spans)) + len(spans) * _OVERHEAD
        if len(self._buffer) < needed:
            self._buffer = bytearray(needed)
        out, at = memoryview(self._buffer), 0
        for span in spans:
            body = 1 + 9 + len(span)
            padding = 4 + (-body - 4) % _BLOCK
            length = struct.pack(">I", body + padding)
            head = struct.pack(">BBII", padding, _CHANNEL_DATA, self._channel.remote_chanid, len(span))
            plain = b"".join((head, span, bytes(padding)))
            nonce = fixed + counter.to_bytes(8, "big")
            end = at + 4 + len(plain) + _TAG
            out[at : at + 4] = length
            if in_place is not None:
                in_place(nonce, plain, length, out[at + 4 : end])
            else:
                out[at + 4 : end] = engine.encrypt(nonce, plain, length)
            counter = (counter + 1) & 0xFFFFFFFFFFFFFFFF
            at = end
        _set(packetizer, "iv_out", fixed + counter.to_bytes(8, "big"))
        return at

    def _count(self, packets: int, length: int) -> None:
        """What `Packetizer.send_message` counts, so that keys are exchanged again in time."""
        packetizer = self._packetizer
        _set(packetizer, "sequence_number_out", (_get(packetizer, "sequence_number_out") + packets) & 0xFFFFFFFF)
        _set(packetizer, "sent_bytes", _get(packetizer, "sent_bytes") + length)
        _set(packetizer, "sent_packets", _get(packetizer, "sent_packets") + packets)
        too_much = (
            _get(packetizer, "sent_bytes") >= packetizer.REKEY_BYTES
            or _get(packetizer, "sent_packets") >= packetizer.REKEY_PACKETS
        )
        if too_much and not _get(packetizer, "need_rekey"):
            packetizer._trigger_rekey()


def lean_sender(channel: paramiko.Channel) -> LeanSender | None:
    """A sender for a channel, or None where this cipher or this paramiko does not allow it."""
    transport: Any = channel.get_transport()
    packetizer = transport.packetizer
    outer = (
        (transport, ("clear_to_send", "clear_to_send_lock", "clear_to_send_timeout", "active", "_send_message")),
        (channel, ("lock", "out_window_size", "remote_chanid", "_wait_for_send_window")),
        (packetizer, ("write_all", "_trigger_rekey", "REKEY_BYTES", "REKEY_PACKETS")),
    )
    known = all(hasattr(each, name) for each, names in outer for name in names)
    known = known and all(hasattr(packetizer, f"_Packetizer__{name}") for name in _INNER)
    if not known or getattr(transport, "local_cipher", "") not in GCM or not _get(packetizer, "aead_out"):
        return None
    return LeanSender(channel)


def _get(packetizer: Any, name: str) -> Any:
    return getattr(packetizer, f"_Packetizer__{name}")


def _set(packetizer: Any, name: str, value: Any) -> None:
    setattr(packetizer, f"_Packetizer__{name}", value)


def _message(channel: int, data: memoryview) -> Any:
    from paramiko.message import Message

    message = Message()
    message.add_byte(bytes((_CHANNEL_DATA,)))
    message.add_int(channel)
    message.add_string(bytes(data))
    return message
