"""Structure of FITS files from their bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transfer.frames import card, header, image_hdu, mosaic, padded, sky
from transfer.checksum import measure
from transfer.errors import Corrupt, Incomplete, NotFits
from transfer.structure import check_complete, scan
from transfer.verify import verify_datasums


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_mosaic(tmp_path: Path) -> None:
    layout = scan(write(tmp_path / "a", mosaic(3, (60, 70))))
    assert [span.kind for span in layout.hdus] == ["primary", "image", "image", "image"]
    assert [span.shape for span in layout.hdus] == [(), (60, 70), (60, 70), (60, 70)]
    assert layout.hdus[1].extname == "CCD0"
    assert layout.hdus[1].data_size == 60 * 70 * 2
    assert layout.hdus[-1].end_offset == layout.size
    assert (layout.trailing, layout.nextend) == (0, 3)


def test_every_cut_of_a_file_is_incomplete_or_whole_at_an_hdu(tmp_path: Path) -> None:
    data = mosaic(2, (20, 30))
    ends = {span.end_offset for span in scan(write(tmp_path / "a", data)).hdus}
    for length in range(0, len(data), 97):
        path = write(tmp_path / "a", data[:length])
        with pytest.raises(Incomplete) as caught:
            scan(path)
        assert caught.value.missing is not None
        assert 0 < caught.value.missing <= len(data) - length
    for end in ends:
        assert scan(write(tmp_path / "a", data[:end])).hdus[-1].end_offset == end
    for cut in range(1, 8):  # the next extension has just begun
        with pytest.raises(Incomplete):
            scan(write(tmp_path / "a", data[: min(ends) + cut]))


def test_missing_says_how_much(tmp_path: Path) -> None:
    data = image_hdu(sky((100, 100)))
    with pytest.raises(Incomplete) as caught:
        scan(write(tmp_path / "a", data[:-5000]))
    assert caught.value.missing == 5000


def test_table_with_heap_groups_and_trailing_junk(tmp_path: Path) -> None:
    table = [card("XTENSION", "BINTABLE"), card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", 12), card("NAXIS2", 5)]
    table += [card("PCOUNT", 3000), card("GCOUNT", 1), card("TFIELDS", 1), card("ZIMAGE", True)]
    data = image_hdu(None) + header(*table) + padded(bytes(3060)) + b"junk" * 1000
    layout = scan(write(tmp_path / "a", data))
    assert layout.hdus[1].data_size == 3060
    assert layout.hdus[1].compressed
    assert not layout.hdus[1].is_image
    assert layout.trailing == 4000

    groups = [card("SIMPLE", True), card("BITPIX", -32), card("NAXIS", 3), card("NAXIS1", 0), card("NAXIS2", 4)]
    groups += [card("NAXIS3", 2), card("GROUPS", True), card("PCOUNT", 6), card("GCOUNT", 10)]
    layout = scan(write(tmp_path / "b", header(*groups) + padded(bytes(4 * 10 * (6 + 8)))))
    assert (layout.hdus[0].kind, layout.hdus[0].data_size, layout.hdus[0].is_image) == ("groups", 560, False)


@pytest.mark.parametrize(
    "cards",
    [
        [card("SIMPLE", "maybe")],
        [card("SIMPLE", True), card("BITPIX", 12), card("NAXIS", 0)],
        [card("SIMPLE", True), card("NAXIS", 0)],
        [card("SIMPLE", True), card("BITPIX", 8)],
        [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1000)],
        [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", -1)],
        [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1)],
        [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", -5)],
        [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", 1.5)],
        [card("SIMPLE", True), card("BITPIX", 64), card("NAXIS", 2), card("NAXIS1", 2**40), card("NAXIS2", 2**40)],
        [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", 10**19)],
    ],
)
def test_absurd_headers_are_not_fits(tmp_path: Path, cards: list[bytes]) -> None:
    with pytest.raises(NotFits):
        scan(write(tmp_path / "a", header(*cards) + bytes(2880)))


def test_other_files_are_not_fits(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(NotFits):
        scan(path)


def test_gzip_is_whole_when_gzip_says_so(tmp_path: Path) -> None:
    packed = gzip.compress(mosaic(1)) + gzip.compress(b"second member") + bytes(100)
    assert check_complete(write(tmp_path / "a.gz", packed)) is None
    with pytest.raises(Incomplete):
        check_complete(write(tmp_path / "a.gz", packed[:2000]))
    broken = bytearray(packed)
    broken[1000] ^= 0xFF
    with pytest.raises(Corrupt):
        check_complete(write(tmp_path / "a.gz", bytes(broken)))


def test_datasum_cards_are_compared(tmp_path: Path) -> None:
    pixels = np.array([[1, 2], [3, 4]], ">i4")
    good = image_hdu(pixels, card("DATASUM", "10"))
    path = write(tmp_path / "a", good)
    verify_datasums(scan(path), measure(path, scan(path)).datasums)
    path = write(tmp_path / "a", good[:2880] + b"\x01" + good[2881:])
    with pytest.raises(Corrupt, match="HDU 0"):
        verify_datasums(scan(path), measure(path, scan(path)).datasums)
    empty = scan(write(tmp_path / "a", image_hdu(pixels * 0, card("DATASUM", "4294967295"))))
    verify_datasums(empty, [0])
    with pytest.raises(ValueError, match="zip"):
        verify_datasums(empty, [0, 0])


@given(st.data())
def test_mutated_headers_raise_only_named_errors(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    raw = bytearray(mosaic(1, (5, 6)))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "mutated", bytes(raw))
    try:
        layout = check_complete(path)
    except (NotFits, Incomplete, Corrupt):
        return
    assert layout is None or layout.size == len(raw)


def test_the_real_files(shared_data: Path) -> None:
    counts = {"whole": 0, "named": 0}
    for path in sorted(shared_data.rglob("*")):
        if path.is_file():
            try:
                check_complete(path)
                counts["whole"] += 1
            except (NotFits, Incomplete):
                counts["named"] += 1
    assert counts["whole"] > 100
    for path in sorted((shared_data / "raw/efosc2_ntt").glob("*.fits")):
        verify_datasums(scan(path), measure(path, scan(path)).datasums)
