"""Files and directories as they should not be: nothing blinds a source, nothing is read twice or skipped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.housekeep_settings import CsvSource, FitsSource
from services.housekeeping.sources.base import Batch
from services.housekeeping.sources.csvfiles import make_csv
from services.housekeeping.sources.fits import FitsFiles
from tests.unit.housekeeping.files import NOW, Reader, append

T0 = 1_700_000_000
HEAD = b"time,t\n"


def csv_reader(directory: Path, **more: object) -> Reader:
    wanted = {"kind": "csv", "dir": directory, "time_format": "unix_s", **more}
    return Reader(lambda positions: make_csv("loop", CsvSource.model_validate(wanted), positions))


def line(number: int) -> bytes:
    return f"{T0 + number},{number}\n".encode()


def numbers(reader: Reader) -> list[float]:
    return [float(values["t"]) for _, values in reader.rows()]


class Logger:
    """A program that logs, and all that happens to its file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "hk.csv"
        self.written = self._rotated = 0
        self._waiting = b""
        append(self.path, HEAD)

    def rows(self, count: int, whole: bool) -> None:
        data = self._waiting + b"".join(line(self.written + each) for each in range(count))
        self.written += count
        cut = len(data) if whole else max(0, len(data) - 4)
        self._waiting = data[cut:]
        append(self.path, data[:cut])

    def finish(self) -> None:
        append(self.path, self._waiting)
        self._waiting = b""

    def rename(self) -> None:
        self.finish()
        self._rotated += 1
        self.path.rename(self.path.with_name(f"hk.{self._rotated}.old"))
        append(self.path, HEAD)

    def cut(self) -> None:
        """In place: the same inode, from its start."""
        os.truncate(self.path, 0)
        append(self.path, HEAD)

    def replace(self) -> None:
        """Deleted and made anew; the inode is often the same."""
        self.path.unlink()
        append(self.path, HEAD)


STEPS = st.one_of(
    st.tuples(st.just("rows"), st.integers(1, 40), st.booleans()),
    st.sampled_from([(name,) for name in ("poll", "kill", "killed in a poll", "rename", "cut", "replace")]),
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, max_size=25))
def test_any_life_of_a_file_gives_every_row_once(tmp_path: Path, steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        logger, reader = Logger(Path(name)), csv_reader(Path(name))
        reader.poll()
        for what, *given_to in steps:
            if what == "rows":
                logger.rows(*given_to)  # type: ignore[arg-type]
            elif what == "poll":
                reader.poll()
            elif what == "kill":
                reader.restart()
            elif what == "killed in a poll":
                reader.source.poll(NOW)
                reader.restart()
            elif what == "rename":  # a file that was never met under its name is not ours
                reader.poll()
                logger.rows(3, whole=False)
                logger.rename()
                reader.poll()
            else:  # what nobody has read when it is destroyed is lost to everybody
                logger.finish()
                reader.poll()
                getattr(logger, str(what))()
        logger.finish()
        reader.poll()
        assert sorted(numbers(reader)) == list(range(logger.written))
        reader.source.close()


def test_what_is_no_file_and_what_leads_nowhere_stops_no_other(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.csv").mkdir()
    (tmp_path / "c.csv").symlink_to(tmp_path / "nowhere")
    append(tmp_path / "e.csv", HEAD + line(1))
    reader = csv_reader(tmp_path)
    assert reader.poll().trouble == ""
    (tmp_path / "d.csv").symlink_to(tmp_path / "d.csv")
    append(tmp_path / "e.csv", line(2))
    assert "d.csv: Too many levels of symbolic links" in reader.poll().trouble
    assert numbers(reader) == [1, 2]
    reader.source.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, when we have them."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_that_must_not_be_read_is_said_and_stops_no_other() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        append(directory / "a.csv", HEAD + line(1))
        append(directory / "b.csv", HEAD + line(2))
        (directory / "a.csv").chmod(0)
        reader = csv_reader(directory)

        def look() -> Batch:
            with nobody():
                return reader.poll()

        assert "a.csv: Permission denied" in look().trouble
        assert numbers(reader) == [2]
        assert look().empty and "a.csv" in look().trouble
        (directory / "a.csv").chmod(0o644)
        assert look().trouble == ""
        assert numbers(reader) == [2, 1]
        reader.source.close()


@pytest.mark.parametrize("size", [1 << 25, pytest.param(1 << 30, marks=pytest.mark.slow)])
def test_a_gigabyte_of_nothing_is_passed_over(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.csv"
    append(path, HEAD + line(1))
    os.truncate(path, size)  # as a power cut leaves a file: sparse
    append(path, b"\n" + line(2))
    reader = csv_reader(tmp_path)
    reader.poll()
    assert numbers(reader) == [1, 2]
    assert [reason[:14] for _, _, reason in reader.bad] == ["no end of line"]
    reader.source.close()


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    append(tmp_path / "a.csv", "time,t\n1700000000,1\n".encode("utf-16"))
    append(tmp_path / "b.csv", b"\xef\xbb\xbftime,t\r")
    reader = csv_reader(tmp_path)
    reader.poll()
    append(tmp_path / "b.csv", b"\n1700000001,1\r")
    reader.poll()
    append(tmp_path / "b.csv", b"\n\x001700000002,2\n1700000003,3\n")
    reader.poll()
    assert numbers(reader) == [1, 3]
    assert {name for name, _, _ in reader.bad} == {"a.csv", "b.csv"}
    reader.source.close()


def test_leap_seconds_and_the_end_of_a_day(tmp_path: Path) -> None:
    rows = b"2016-12-31T23:59:59Z,1\n2016-12-31 23:59:60Z,2\n2020-02-29T24:00:00,3\n2020-02-29T24:00:01,4\n"
    append(tmp_path / "a.csv", HEAD + rows)
    reader = csv_reader(tmp_path, time_format="iso")
    reader.poll()
    assert [when // 10**9 for when, _ in reader.rows()] == [1483228799, 1483228800, 1583020800, 1583020801]
    reader.source.close()


def test_ten_thousand_columns(tmp_path: Path) -> None:
    names = ",".join(f"p{number}" for number in range(10_000))
    append(tmp_path / "a.csv", f"time,{names}\n{T0}{',1' * 10_000}\n".encode())
    reader = csv_reader(tmp_path)
    reader.poll()
    assert reader.samples[0].values.sum() == 10_000
    reader.source.close()


def fits_reader(directory: Path) -> Reader:
    return Reader(lambda positions: FitsFiles("drive", FitsSource(kind="fits", dir=directory), positions))


def table(path: Path, rows: int, **cards: object) -> None:
    """A small table; `cards` are set in its header afterwards, whatever they say."""
    columns = [
        fits.Column("Time", "D", unit="s", array=T0 + np.arange(rows)),
        fits.Column("t", "E", array=np.arange(rows)),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    data = path.read_bytes()
    for name, value in cards.items():
        at = data.index(name.ljust(8).encode() + b"= ")
        shown = f"'{value}'" if isinstance(value, str) else f"{value:>20}"
        data = data[:at] + f"{name:<8}= {shown}".ljust(80).encode() + data[at + 80 :]
    path.write_bytes(data)


@pytest.mark.parametrize(
    "cards",
    [
        {"NAXIS1": 4_000_000_008, "TFORM2": "1000000000E"},
        {"NAXIS1": 12_000_000_000_000, "TFORM2": "3000000000000E"},
        {"NAXIS1": 99_999_999_999_999_999_999},
        {"TFORM2": "99999999999999999999E"},
        {"TFORM2": "0A"},
        {"TFORM2": "PE(3)"},
        {"TFORM2": "7Z"},
        {"NAXIS2": -5},
        {"NAXIS2": 10**18},
        {"TFIELDS": 10**9},
    ],
)
def test_a_table_with_an_impossible_header_stops_no_other(tmp_path: Path, cards: dict[str, object]) -> None:
    table(tmp_path / "a.fits", 3, **cards)
    table(tmp_path / "b.fits", 3)
    reader = fits_reader(tmp_path)
    reader.poll()
    assert [values["t"] for when, values in reader.rows() if "t" in values][-3:] == [0, 1, 2]
    reader.source.close()
