"""The housekeeper's file: one transaction, last values, and the trend of what was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.housekeeping.alerting import thinned
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import BadRow
from services.housekeeping.store import Standing, Store, StoreUnreachable, open_or_begin_anew, open_store

T0 = 1_700_000_000
NAMES = ("a", "b", "c")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "housekeeping.sqlite", keep_s=600)
    yield made
    made.close()


def rows(first: int, count: int, source: str = "roe") -> Samples:
    seconds = np.arange(first, first + count)
    values = seconds[:, None] * np.array([1.0, 10.0, 100.0])
    return Samples(source, NAMES, (T0 + seconds) * 10**9, values, {"mode": ("park",) * count}, {"a": "K"}, "x")


def test_last_values_trend_and_positions_are_one(store: Store, tmp_path: Path) -> None:
    for second in range(150):
        store.commit([rows(second, 1)], {"roe": {"1": {"offset": second}}}, {"limits": {"n": second}}, now=T0 + second)
    reading = open_store(tmp_path / "housekeeping.sqlite", readonly=True)
    assert store.positions("roe") == reading.positions("roe") == {"1": {"offset": 149}}
    assert reading.state("limits") == {"n": 149} and reading.state("other") is None
    last = {one.parameter: one for one in reading.last()}
    assert last["b"].value == 1490.0 and last["a"].unit == "K" and last["mode"].text == "park"
    times, values = reading.trend("roe", "b", 100)
    assert values.tolist() == [10.0 * second for second in range(49, 150)]
    assert (np.diff(times) == 10**9).all()
    assert reading.trend("roe", "none", 100)[0].size == 0
    reading.close()


def test_what_is_committed_outlives_a_power_cut_and_readers_do_not_wait(store: Store) -> None:
    said = [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert said == ["wal", 2], "2 is FULL: every commit is on the disk"


def test_a_transaction_that_fails_keeps_nothing(store: Store) -> None:
    store.commit([rows(0, 1)], {"roe": {"1": {"offset": 1}}})
    broken = Samples("roe", NAMES, np.array([5]), np.ones((1, 3)), {"mode": ("x", "y")})
    with pytest.raises(TypeError):
        store.commit([rows(9, 1), broken], {"roe": {"1": {"offset": 2}}}, {"limits": object()})
    assert store.positions("roe") == {"1": {"offset": 1}}
    assert {one.time_ns for one in store.last()} == {T0 * 10**9}
    store.commit([rows(3, 2)], {"roe": {"1": None}})
    assert store.positions("roe") == {}
    assert store.trend("roe", "a", 100)[1].tolist() == [0.0, 3.0, 4.0]


def test_a_late_row_is_in_the_trend_and_does_not_become_the_last(store: Store) -> None:
    store.commit([rows(10, 2)], now=T0 + 12)
    store.commit([rows(3, 1)], now=T0 + 13)
    assert {one.value for one in store.last() if one.parameter == "a"} == {11.0}
    assert store.trend("roe", "a", 60)[1].tolist() == [3.0, 10.0, 11.0]


def test_a_clock_that_was_ahead_and_put_right_does_not_hide_what_is_now(store: Store) -> None:
    store.commit([rows(80_000, 1)], now=T0)
    store.commit([rows(1, 1)], now=T0 + 1)
    assert {one.value for one in store.last() if one.parameter == "a"} == {1.0}


def test_history_is_bounded_and_a_clock_ahead_takes_nothing_away(store: Store) -> None:
    for minute in range(40):
        store.commit([rows(60 * minute, 60)], now=T0 + 60 * minute + 60)
    store.commit([rows(86_000, 60)], now=T0 + 2400)
    oldest = store._db.execute("SELECT min(first_ns) FROM history").fetchone()[0]
    assert T0 + 1200 <= oldest / 1e9 <= T0 + 1900


def test_standings_and_rows_set_aside(store: Store) -> None:
    store.commit([rows(0, 1)], standings=[Standing("roe", "a", "error", {"error_low": 1.0, "error_high": None})])
    found = {one.parameter: one for one in store.last()}
    assert found["a"].verdict == "error" and found["a"].limits == {"error_low": 1.0, "error_high": None}
    store.commit(bad={"roe": [BadRow("f", 3, "garbage", "xx")]}, now=5.0)
    assert store.set_aside() == [(5.0, "roe", BadRow("f", 3, "garbage", "xx"))]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="has `nightferry housekeep` run"):
        open_store(tmp_path / "none.sqlite", readonly=True)


def test_what_is_no_database_is_set_aside_and_what_cannot_be_reached_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "housekeeping.sqlite"
    path.write_bytes(b"no database at all " * 500)
    made, why = open_or_begin_anew(path, 600.0)
    made.close()
    assert "not a database" in why
    assert path.with_name("housekeeping.sqlite.damaged").read_bytes().startswith(b"no database")
    (tmp_path / "directory").mkdir()
    with pytest.raises(StoreUnreachable, match="unable to open"):
        open_or_begin_anew(tmp_path / "directory", 600.0)
    assert (tmp_path / "directory").is_dir()


def test_a_thinned_trend_keeps_its_peaks() -> None:
    times = np.arange(3600, dtype=np.int64)
    values = np.sin(times / 500.0)
    values[1234] = 99.0
    when, what = thinned(times, values, 240)
    assert len(when) <= 240 and 99.0 in what and (when[0], when[-1]) == (0, 3599)
    assert (np.diff(when) > 0).all()
