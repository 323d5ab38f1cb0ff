"""A file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.header import BLOCK
from processors.publish import asking, header_block, publish, withdraw


def test_a_file_takes_its_name_when_all_of_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with publish(tmp_path / "a") as file:
        file.write(b"new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError), publish(tmp_path / "a") as file:
        file.write(b"half")
        raise KeyError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


class LostError(Exception):
    """The file is somebody else's by now."""


def test_a_file_whose_writer_may_not_go_on_takes_no_name_and_leaves_nothing(tmp_path: Path) -> None:
    product = tmp_path / "a"
    product.write_text("the other's")
    seen: list[dict[str, str]] = []

    def lost() -> None:
        seen.append({path.name: path.read_text() for path in tmp_path.iterdir()})
        raise LostError

    with asking(lost):
        with pytest.raises(LostError), publish(product) as file:
            file.write(b"mine")
        with pytest.raises(LostError):
            withdraw(product)
        withdraw(tmp_path / "never there")
    # then it was asked when all was on the disk, and before the file was removed
    assert [sorted(files.values()) for files in seen] == [["mine", "the other's"], ["the other's"]]
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "the other's")]
    # and outside nobody is asked
    with publish(product) as file:
        file.write(b"mine")
    assert product.read_text() == "mine"
    withdraw(product)
    assert list(tmp_path.iterdir()) == []


def test_a_header_fills_blocks_and_its_sum_is_that_of_its_data_and_itself() -> None:
    head = header_block([("SIMPLE", True, ""), ("NAXIS", 0, ""), *((f"K{n}", n, "") for n in range(40))], 12345)
    assert len(head) == 2 * BLOCK
    assert b"DATASUM = '12345   '" in head
    words = [int.from_bytes(head[at : at + 4], "big") for at in range(0, len(head), 4)]
    total = sum(words) + 12345
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    assert total == 0xFFFFFFFF
