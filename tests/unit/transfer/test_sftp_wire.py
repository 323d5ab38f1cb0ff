"""SFTP packets: what we ask is laid out as the draft says, what a server answers is never trusted."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.errors import Unreachable
from transfer.remotes.sftp import replies, wire


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def test_a_write_is_laid_out_as_the_draft_says() -> None:
    head = wire.write_head(7, b"handle", 1 << 33, 5)
    assert (
        head + b"bytes"
        == bytes.fromhex("00000020 06 00000007 00000006")
        + b"handle"
        + bytes.fromhex("0000000200000000 00000005")
        + b"bytes"
    )


def test_an_open_is_laid_out_as_the_draft_says() -> None:
    packet = wire.framed(wire.open_file("é", wire.FOR_WRITING), 1)
    assert packet == bytes.fromhex("00000013 03 00000001 00000002 c3a9 0000000b 00000000")


def test_the_greeting_tells_the_extensions() -> None:
    packet = b"\x02" + struct.pack(">I", 3) + text(wire.FSYNC) + text(b"1") + text(b"other") + text(b"2")
    assert replies.parse_hello(packet) == {wire.FSYNC, b"other"}
    with pytest.raises(Unreachable, match="does not speak"):
        replies.parse_hello(b"\x02" + struct.pack(">I", 4))


ATTRIBUTES = struct.pack(">IQIIIIII", 0x8000000D, 1234, 0o100644, 1, 99, 1, 0, 0)


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"\x65" + struct.pack(">II", 5, 4) + text(b"Failure") + text(b""), wire.Status(4, "Failure")),
        (b"\x65" + struct.pack(">II", 5, 0), wire.Status(0, "")),
        (b"\x66" + struct.pack(">I", 5) + text(b"h"), wire.Handle(b"h")),
        (b"\x67" + struct.pack(">I", 5) + text(b"data"), wire.Data(b"data")),
        (b"\x68" + struct.pack(">II", 5, 1) + text(b"n\xff") + text(b"-rw") + ATTRIBUTES, wire.Names(("n\udcff",))),
        (b"\x69" + struct.pack(">I", 5) + ATTRIBUTES, wire.Attributes(1234, 0o100644, 99)),
        (b"\xc9" + struct.pack(">I", 5) + b"rest", wire.Extended(b"rest")),
    ],
)
def test_replies(packet: bytes, reply: wire.Reply) -> None:
    assert replies.parse_reply(packet) == (5, reply)
    for end in range(1, len(packet)):
        try:
            replies.parse_reply(packet[:end])
        except Unreachable:
            continue


@given(st.binary(max_size=200))
def test_rubbish_is_unreachable_or_a_reply(packet: bytes) -> None:
    for parse in (replies.parse_reply, replies.parse_hello):
        try:
            parse(packet)
        except Unreachable:
            continue


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.lists(st.integers(1, 60), min_size=1))
def test_packets_come_out_of_any_pieces(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(text(packet) for packet in packets)
    splitter, found, at, turn = replies.Splitter(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += splitter.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert found == packets


@pytest.mark.parametrize("length", [0, replies.MAX_REPLY + 1, 0xFFFFFFFF])
def test_a_length_that_no_server_needs(length: int) -> None:
    with pytest.raises(Unreachable, match="no SFTP"):
        replies.Splitter().feed(struct.pack(">I", length))
