"""Quick-look frames from a stranger: `Corrupt`, or no more than the manifest allows; never a crash of a library."""

from __future__ import annotations

import functools
import io
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transfer.frames import card, image_hdu
from transfer.codecs.jpeg2000_stream import check_codestream
from transfer.codecs.registry import LOSSY, codec_named
from transfer.errors import Corrupt

LONG = settings(max_examples=5_000)


@functools.cache
def original() -> bytes:
    rng = np.random.default_rng(2)
    pixels = rng.normal(1000, 20, (75, 60)).astype("i2")
    wide = rng.normal(1e6, 20, (40, 90)).astype("i4")
    return image_hdu(pixels, card("OBJECT", "M13")) + image_hdu(wide, extension=True)


@functools.cache
def packed(name: str) -> bytes:
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "a.fits")
        path.write_bytes(original())
        codec_named(name).encode(path, out, scratch=path.parent)
    return out.getvalue()


def restore(name: str, data: bytes) -> bytes | None:
    """What comes back, or None for Corrupt; every other error and every crash is a failure."""
    out = io.BytesIO()
    size = len(original())
    with tempfile.TemporaryDirectory() as directory:
        try:
            codec_named(name).decode(io.BytesIO(data), out, size=size, scratch=Path(directory))
        except Corrupt:
            return None
        finally:
            assert not list(Path(directory).iterdir())
            assert len(out.getvalue()) <= 2 * size + (1 << 20) + 2880
    return out.getvalue()


def damaged(name: str) -> st.SearchStrategy[bytes]:
    """The packed form with bytes changed (often in the headers of tiles and codestreams), cut out, or put in."""
    good = packed(name)
    marks = (b"\xdd\x99",) if name == "hcompress" else (b"\xff\x4f\xff\x51", b"\xff\x52", b"\xff\x93")
    starts = [place for mark in marks for place in range(len(good)) if good.startswith(mark, place)]
    near = st.builds(lambda start, more: start + more, st.sampled_from(starts), st.integers(0, 40))
    anywhere = st.integers(0, len(good) - 1)
    places = st.one_of(near, anywhere)
    values = st.one_of(st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 255))

    def changed(changes: list[tuple[int, int]]) -> bytes:
        data = bytearray(good)
        for place, value in changes:
            data[min(place, len(data) - 1)] = value
        return bytes(data)

    def replaced(start: int, length: int, new: bytes) -> bytes:
        return good[:start] + new + good[start + length :]

    return st.one_of(
        st.builds(changed, st.lists(st.tuples(places, values), min_size=1, max_size=12)),
        st.builds(replaced, places, st.integers(0, 3000), st.binary(max_size=64)),
        st.builds(lambda end: good[:end], anywhere),
    )


@pytest.mark.parametrize("name", LOSSY)
def test_the_good_one_is_good(name: str) -> None:
    assert restore(name, packed(name)) is not None


@settings(max_examples=150)
@given(data=st.data())
@pytest.mark.parametrize("name", LOSSY)
def test_damage_is_corrupt_or_bounded(name: str, data: st.DataObject) -> None:
    restore(name, data.draw(damaged(name)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@LONG
@given(data=st.data())
@pytest.mark.parametrize("name", LOSSY)
def test_much_damage_is_corrupt_or_bounded(name: str, data: st.DataObject) -> None:
    restore(name, data.draw(damaged(name)))


@settings(max_examples=100)
@given(st.binary(max_size=4000))
def test_random_bytes_are_corrupt(junk: bytes) -> None:
    for name in LOSSY:
        assert restore(name, junk) is None
    with pytest.raises(Corrupt):
        check_codestream(b"\xff\x4f" + junk, 10, 10)


@pytest.mark.parametrize("planes", [(31, 31, 31), (255, 0, 0), (0, 0, 0)])
@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x5a"])
def test_tiles_that_ask_for_more_than_they_have(planes: tuple[int, int, int], fill: bytes) -> None:
    good = packed("hcompress")
    start = good.index(b"\xdd\x99")
    head = good[start : start + 22] + bytes(planes)
    tile = head + fill * 40
    restore("hcompress", good[:start] + tile + good[start + len(tile) :])


@pytest.mark.parametrize(("place", "value"), [(2, 0), (2, 1 << 20), (6, 0), (6, -1), (6, 1 << 30), (10, -5)])
def test_sizes_in_a_tile_are_not_believed(place: int, value: int) -> None:
    good = packed("hcompress")
    start = good.index(b"\xdd\x99") + place
    assert restore("hcompress", good[:start] + struct.pack(">i", value) + good[start + 4 :]) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (8, b"\x7f\xff\xff\xff"),  # width
        (12, b"\x7f\xff\xff\xff"),  # height
        (24, b"\x00\x00\x00\x01"),  # tile width
        (40, b"\x40\x00"),  # components
        (42, b"\x25"),  # bits
        (49, b"\x01"),  # precincts of their own
        (51, b"\xff\xff"),  # layers
        (54, b"\x20"),  # levels
        (55, b"\x08"),  # code blocks
    ],
)
def test_a_codestream_that_would_make_the_library_work_is_not_given_to_it(place: int, value: bytes) -> None:
    good = packed("jpeg2000")
    start = good.index(b"\xff\x4f\xff\x51") + place
    changed = good[:start] + value + good[start + len(value) :]
    assert changed != good
    assert restore("jpeg2000", changed) is None
