"""Files of text that grow, are rotated, cut, replaced: nothing is read twice, nothing is skipped."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.housekeep_settings import CsvSource, VisonSource
from services.housekeeping.sources.base import SourceUnreachable
from services.housekeeping.sources.csvfiles import make_csv
from services.housekeeping.sources.vison import make_vison
from tests.unit.housekeeping.files import NOW, Reader, append, rows_of

T0 = 1_700_000_000


def csv_reader(directory: Path, **more: Any) -> Reader:
    wanted = {"kind": "csv", "dir": directory, "time_format": "unix_s", **more}
    return Reader(lambda positions: make_csv("loop", CsvSource(**wanted), positions))


def vison_reader(directory: Path, **more: Any) -> Reader:
    return Reader(lambda positions: make_vison("roe", VisonSource(kind="vison", dir=directory, **more), positions))


def line(second: int, value: float | str = 1.0) -> bytes:
    return f"{T0 + second},{value}\n".encode()


def values(reader: Reader) -> list[object]:
    return [row["a"] for _, row in reader.rows()]


def test_a_partial_last_line_waits_for_its_end(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    file = tmp_path / "a.csv"
    append(file, b"time,a\n" + line(0, 10.5) + b"1700000001,2")
    reader.poll()
    assert values(reader) == [10.5]
    append(file, b"7.25\n17000")
    reader.poll()
    assert values(reader) == [10.5, 27.25]
    assert reader.poll().empty


def test_a_renamed_file_is_finished_and_the_new_one_is_read_from_its_start(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    file = tmp_path / "a.csv"
    append(file, b"time,a\n" + line(0, 1))
    reader.poll()
    append(file, line(1, 2))
    file.rename(tmp_path / "a.csv.1")
    append(file, b"time,a\n" + line(3, 4))
    append(tmp_path / "a.csv.1", line(2, 3))
    reader.restart()
    reader.poll()
    assert sorted(values(reader)) == [1, 2, 3, 4]
    append(tmp_path / "a.csv.1", line(4, 5))  # the writer still has it open
    reader.poll()
    assert sorted(values(reader)) == [1, 2, 3, 4, 5]


def test_a_deleted_file_is_read_to_its_end(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    file = tmp_path / "a.csv"
    append(file, b"time,a\n" + line(0, 1))
    reader.poll()
    append(file, line(1, 2))
    file.unlink()
    append(file, b"time,a\n" + line(2, 3))
    reader.poll()
    assert values(reader) == [1, 2, 3]


@pytest.mark.parametrize("longer", [False, True])
def test_a_file_cut_and_begun_anew_is_read_from_its_start(tmp_path: Path, longer: bool) -> None:
    reader = csv_reader(tmp_path)
    file = tmp_path / "a.csv"
    append(file, b"time,a\n" + line(0, 1) + line(1, 2))
    reader.poll()
    fresh = b"time,a\n" + b"".join(line(100 + number, 50 + number) for number in range(5 if longer else 1))
    with file.open("r+b") as cut:  # the inode stays
        cut.truncate(0)
        cut.write(fresh)
    reader.poll()
    assert values(reader) == [1, 2, *(50 + number for number in range(5 if longer else 1))]
    assert reader.notes["again"] == 1


def test_an_inode_that_another_file_was_given_is_another_file(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    append(first, b"time,a\n" + line(0, 1))
    reader.poll()
    first.unlink()
    append(second, b"time,a\n" + line(5, 6) + line(6, 7))
    reader.stored["1"] |= {"inode": second.stat().st_ino}  # what a file system may do, and does when it likes
    reader.restart()
    reader.poll()
    assert values(reader) == [1, 6, 7]


def test_a_file_replaced_by_a_longer_copy_goes_on_where_it_was(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    file = tmp_path / "a.csv"
    text = b"time,a\n" + line(0, 1)
    append(file, text)
    reader.poll()
    for second in (1, 2):  # as rsync does
        text += line(second, second + 1)
        append(tmp_path / ".a.csv.Xy12", text)
        (tmp_path / ".a.csv.Xy12").replace(file)
        if second == 2:
            reader.restart()
        reader.poll()
    assert values(reader) == [1, 2, 3]
    assert "again" not in reader.notes


def test_the_same_row_twice_is_one_and_two_rows_of_one_second_are_two(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    append(tmp_path / "a.csv", b"time,a\n" + line(0, 1) + line(0, 1) + line(0, 2))
    reader.poll()
    reader.restart()
    append(tmp_path / "a.csv", line(0, 2) + line(0, 3) + line(1, 3))
    reader.poll()
    ns = T0 * 10**9
    assert [(when - ns, row["a"]) for when, row in reader.rows()] == [(0, 1), (1, 2), (2, 3), (10**9, 3)]
    assert reader.notes["repeated"] == 2


def test_a_clock_that_is_set_back_is_noticed_and_no_row_replaces_another(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    append(tmp_path / "a.csv", b"time,a\n" + b"".join(line(second, second) for second in (10, 11, 12, 11, 12, 13)))
    reader.poll()
    times = [when for when, _ in reader.rows()]
    assert reader.notes["clock_back"] == 1
    assert len(set(times)) == 6
    assert [when // 10**9 - T0 for when in times] == [10, 11, 12, 11, 12, 13]


def test_what_nobody_can_use_is_set_aside_with_its_line_and_reason(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    far = NOW // 10**9 + 90_000
    lines = [b"time,a\n", line(0, 1), b"1700000001\n", b"1700000002,1,2\n", b"soon,3\n", f"{far},4\n".encode()]
    append(tmp_path / "a.csv", b"".join(lines) + b"\0\0\0\0\n" + b"-5,1\n" + b"1e999999,1\n" + line(9, 5))
    reader.poll()
    assert values(reader) == [1, 5]
    reasons = dict((number, reason) for _, number, reason in reader.bad)
    assert reasons[3] == "1 columns, expected 2" and reasons[4] == "3 columns, expected 2"
    assert "no time" in reasons[5] and "in the future" in reasons[6]
    assert set(reasons) == {3, 4, 5, 6, 7, 8, 9}


def test_what_is_no_number_is_none_and_garbage_is_said(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    cells = ("", "nan", "n/a", "1_000", "12x", "1e3")
    append(tmp_path / "a.csv", b"time,a\n" + b"".join(line(number, cell) for number, cell in enumerate(cells)))
    reader.poll()
    found = np.array(values(reader), dtype=float)
    assert np.isnan(found[:5]).all() and found[5] == 1000.0
    assert len(reader.bad) == 1 and "2 cells are no numbers" in reader.bad[0][2]


def test_another_header_in_mid_file_changes_the_parameters(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path, units={"b": "K"}, text=("mode",), ignore=("junk",))
    text = b"time,a\n" + line(0, 1) + b"time,a\n" + line(1, 2) + b"b,time,mode,junk,b\n" + b"3,1700000002,auto,x,4\n"
    append(tmp_path / "a.csv", text)
    reader.poll()
    assert [row for _, row in reader.rows()] == [{"a": 1.0}, {"a": 2.0}, {"b": 3.0, "b_2": 4.0, "mode": "auto"}]
    assert reader.samples[-1].units == {"b": "K", "b_2": "K"}
    append(tmp_path / "a.csv", b"5,1700000003,park,y,6\n")
    reader.restart()
    reader.poll()
    assert reader.rows()[-1][1] == {"b": 5.0, "b_2": 6.0, "mode": "park"}


def test_a_line_without_end_is_skipped_to_the_next_one(tmp_path: Path) -> None:
    reader = csv_reader(tmp_path)
    append(tmp_path / "a.csv", b"time,a\n" + line(0, 1) + b"x" * 3_000_000 + b"\n" + line(1, 2))
    reader.poll()
    assert values(reader) == [1, 2]
    assert [number for _, number, _ in reader.bad] == [3]


def test_quotes_delimiters_zones_and_several_time_columns(tmp_path: Path) -> None:
    reader = csv_reader(
        tmp_path,
        delimiter=";",
        time=("date", "clock"),
        time_format="strptime:%d.%m.%Y %H:%M:%S",
        time_zone="America/Santiago",
        columns={"Temp [C]": "temperature"},
    )
    append(tmp_path / "a.csv", b'\xef\xbb\xbfdate;clock;"Temp [C]";other\r\n15.07.2026;20:00:00;"12.5";3\r\n')
    reader.poll()
    assert reader.rows() == [(1784160000 * 10**9, {"temperature": 12.5})]


def test_a_directory_that_is_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="No such file"):
        csv_reader(tmp_path / "nfs").poll()


ROW = st.sampled_from(
    [b"time,a\n", b"time,b,a\n", b"\n", b"# word\n", b"junk\n", b"1,2,3,4\n", b"\xff\xfe\n", b"1700000004,7", b"\r\n"]
) | st.builds(line, st.integers(0, 20), st.sampled_from([1.0, 2.0, "x", "nan"]))


@settings(max_examples=60)
@given(rows=st.lists(ROW, max_size=25), cuts=st.lists(st.integers(0, 400), max_size=8), restarts=st.booleans())
def test_however_a_file_comes_the_samples_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], cuts: list[int], restarts: bool
) -> None:
    data = b"time,a\n" + b"".join(rows)
    whole, pieces = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("pieces")
    append(whole / "a.csv", data)
    os.utime(whole / "a.csv", ns=(NOW, NOW))
    once, often = csv_reader(whole), csv_reader(pieces)
    once.poll()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in pairwise(places):
        append(pieces / "a.csv", data[begin:end])
        os.utime(pieces / "a.csv", ns=(NOW + end, NOW + end))
        often.poll()
        if restarts:
            often.restart()
    np.testing.assert_equal(often.rows(), once.rows())
    assert {number for _, number, reason in often.bad if "cells" not in reason} == {
        number for _, number, reason in once.bad if "cells" not in reason
    }
    once.source.close()
    often.source.close()


def vison_file(directory: Path, name: str, *rows: str) -> Path:
    path = directory / name
    append(path, ("HK_timestamp\tHK_IDH          \tVideo_TOP       \r\n" if not path.exists() else "").encode())
    append(path, "".join(f"{row}\r\n" for row in rows).encode())
    return path


def test_rows_after_midnight_belong_to_the_next_day(tmp_path: Path) -> None:
    reader = vison_reader(tmp_path)
    name = "HK_7_150126D235958T_ROE1.txt"
    vison_file(tmp_path, name, "23:59:58\t1\t2", "23:59:59\t1\t2")
    reader.poll()
    reader.restart()
    vison_file(tmp_path, name, "00:00:00\t3\t4", "00:00:01.5\t3\t4", "", "# HK_IDH\t3\t")
    vison_file(tmp_path, "HK_8_160126D000000T_ROE1.txt", "23:59:59\t5\t6", "00:00:02\t7\t8")
    reader.poll()
    midnight = 1768521600 * 10**9
    assert [round((when - midnight) / 1e8) for when, _ in reader.rows()] == [-20, -10, 0, 15, -10, 20]
    assert not reader.bad


def test_a_clock_set_back_by_minutes_is_not_taken_for_midnight(tmp_path: Path) -> None:
    reader = vison_reader(tmp_path)
    vison_file(tmp_path, "HK_7_150126D120000T_ROE1.txt", "12:00:00\t1\t2", "11:55:00\t1\t2", "11:56:00\t1\t2")
    reader.poll()
    noon = 1768478400 * 10**9
    assert [(when - noon) // 10**9 for when, _ in reader.rows()] == [0, -300, -240]
    assert reader.notes["clock_back"] == 1


def test_a_file_whose_name_has_no_date_is_set_aside(tmp_path: Path) -> None:
    reader = vison_reader(tmp_path)
    vison_file(tmp_path, "HK_x_ROE1.txt", "12:00:00\t1\t2")
    reader.poll()
    assert reader.rows() == [] and "no date" in reader.bad[0][2]


def test_the_real_file_of_euclid(shared_data: Path) -> None:
    reader = vison_reader(shared_data / "housekeeping" / "vison_roe")
    reader.poll()
    (samples,) = reader.samples
    assert samples.values.shape == (3, 55) and not reader.bad
    assert str(samples.times_ns.astype("M8[ns]")[0]) == "2000-08-05T15:06:14.000000000"
    assert samples.values[0, samples.parameters.index("HK_temp_top_CCD2")] == -180.17


def test_the_real_tables_of_the_water_loop(shared_data: Path) -> None:
    for folder, rows in (("valve1", 2293), ("other", 2517)):
        reader = csv_reader(
            shared_data / "housekeeping" / "skab" / folder, delimiter=";", time=("datetime",), time_format="iso"
        )
        reader.poll()
        assert sum(map(len, reader.samples)) == rows and not reader.bad
        assert "Volume Flow RateRMS" in reader.samples[0].parameters
    assert len(rows_of(reader.samples[:1])) == 1327
