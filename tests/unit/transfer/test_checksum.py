"""DATASUM against a slow reference."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transfer.frames import mosaic
from transfer.checksum import Datasum, datasum, measure, sha256_file
from transfer.structure import scan


def reference(data: bytes) -> int:
    """FITS 4.0, appendix J: ones' complement sum of big-endian words, word by word."""
    total = 0
    data += bytes(-len(data) % 4)
    for (word,) in struct.iter_unpack(">I", data):
        total += word
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


@settings(deadline=None)  # the first call compiles
@given(st.binary(max_size=300))
def test_against_the_reference(data: bytes) -> None:
    assert datasum(data) == reference(data)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.binary(max_size=50), max_size=20))
def test_pieces_of_any_length(pieces: list[bytes]) -> None:
    total = Datasum()
    for piece in pieces:
        total.update(piece)
    assert total.value == reference(b"".join(pieces))


def test_end_around_carries() -> None:
    # Summing native words and swapping once would put the carries elsewhere.
    for data in (b"\xff" * 2880, b"\xff\xff\xff\xff\x00\x00\x00\x01" * 360, b"\x00\x00\x00\xff" * 70_000):
        assert datasum(data) == reference(data)


def test_large_and_unaligned() -> None:
    data = os.urandom(1_000_003)
    assert datasum(data) == reference(data)
    assert datasum(memoryview(data)[1:]) == reference(data[1:])
    assert datasum(np.frombuffer(data, np.uint8)) == reference(data)


def test_measure_in_one_pass(tmp_path: Path) -> None:
    data = mosaic(3, (33, 37), "u1")
    path = tmp_path / "a.fits"
    path.write_bytes(data)
    layout = scan(path)
    meter = measure(path, layout)
    assert (meter.size, meter.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sha256_file(path) == meter.sha256
    assert meter.datasums == tuple(reference(data[span.data_offset : span.end_offset]) for span in layout.hdus)
