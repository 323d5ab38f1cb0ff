"""The console's pure parts: what is said of an exposure, numbers in few letters, tables that fit."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.cli.watching import check_watch, follow
from services.console.exposures import FrameLine, closed_at, exposures_of
from services.console.hk_screen import hk_lines
from services.console.hk_view import BINS, HousekeepingView, binned, line_of, matches, order
from services.console.layout import Column, cell, lay_out
from services.console.night_screen import night_lines
from services.console.night_view import AlertLine, NightView
from services.console.words import BLOCKS, lasting, number, sized, spark
from services.housekeeping.store import Last
from tests.builders import identity

CLOSED = 1767297690.0  # 2026-01-01T20:01:30 UTC


def frame(place: str = "reduced", moved: float = 60.0, **changes: Any) -> FrameLine:
    shown = {name: changes.pop(name) for name in ("verdicts", "flags", "values") if name in changes}
    fields = {"exptime_s": 90.0, "date_obs": "2026-01-01T20:00:00", "obstype": "science", **changes}
    return FrameLine("a", asdict(identity(**fields)), place, CLOSED + 20, CLOSED + moved, **shown)


def test_an_exposure_is_where_its_slowest_frame_is() -> None:
    members = [frame(), frame("checking", detectors=("2",)), frame("reduced", detectors=("3",))]
    (exposure,) = exposures_of(members, CLOSED + 100)
    assert (exposure.place, exposure.over, exposure.frames, exposure.delay_s) == ("checking", False, 3, 100.0)


def test_the_delay_of_one_that_is_through_is_that_of_its_last_frame() -> None:
    (exposure,) = exposures_of([frame(moved=40), frame(moved=75, detectors=("2",))], CLOSED + 1000)
    assert (exposure.delay_s, exposure.over) == (75.0, True)


def test_checks_of_all_frames_count_and_the_worst_is_told() -> None:
    members = [
        frame(verdicts={"ok": 30, "warning": 2}, flags=("FOCUS_OOL", "FOCUS_OOL"), values={"seeing": [0.8, 0.9]}),
        frame(verdicts={"ok": 31, "error": 1}, flags=("RON_OOL",), values={"seeing": [1.0], "zero_point": [25.1]}),
    ]
    (exposure,) = exposures_of(members, CLOSED)
    assert (exposure.verdict, exposure.found, exposure.flags) == ("error", 1, ("FOCUS_OOL", "RON_OOL"))
    assert (exposure.seeing, exposure.sky, exposure.zero_point) == (0.9, None, 25.1)


@pytest.mark.parametrize(
    ("date_obs", "mtime", "expected"),
    [
        ("2026-01-01T20:00:00", CLOSED + 20, CLOSED),
        ("2026-01-01T20:00:00+00:00", CLOSED + 20, CLOSED),
        ("2026-01-01T20:00:00", CLOSED + 9e6, CLOSED + 9e6),  # played again months later
        ("yesterday", 5.0, 5.0),
        ("", 5.0, 5.0),
    ],
)
def test_the_shutter_closed_when_the_header_says_so_if_that_makes_sense(
    date_obs: str, mtime: float, expected: float
) -> None:
    assert closed_at(date_obs, 90.0, mtime) == expected


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (99.4, "99s"), (720, "12m"), (36_000, "10h"), (864_000, "10d"), (math.nan, "?")]
)
def test_a_time_span_in_few_letters(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_sizes_and_numbers_in_few_letters() -> None:
    assert [sized(size) for size in (0, 812, 1234, 5_400_000, 3.2e13)] == [
        "0 B",
        "812 B",
        "1.2 kB",
        "5.4 MB",
        "32.0 TB",
    ]
    assert [number(value) for value in (None, 0, -100.123, 12345.6, 1e-9, math.nan, math.inf)] == [
        *("-", "0", "-100.1", "12346", "1.000e-09", "nan", "inf")
    ]


@given(st.lists(st.floats(), max_size=80), st.integers(1, 40))
@example([9e307, 9e307], 1)
@example([-1.7e308, 1.7e308], 2)
@example([1.7976931348623157e308] * 3, 1)
@example([-1.7976931348623157e308] * 3, 1)
def test_a_sparkline_has_one_letter_per_place_or_none_at_all(values: list[float], width: int) -> None:
    line = spark(values, width)
    assert set(line) <= {*BLOCKS, " "}
    assert len(line) in ((width,) if any(math.isfinite(value) for value in values) else (0, width))


def test_a_sparkline_rises_with_its_values_and_has_gaps() -> None:
    assert spark([0, 1, math.nan, 7], 4) == "▁▂ █"
    assert spark([3, 3, 3], 3) == "▄▄▄"
    assert spark([0, 7], 2, ascii_only=True) == "_#"


words = st.text(max_size=30)


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5), st.integers(20, 120))
def test_no_line_is_wider_than_the_terminal_and_none_breaks(rows: list[tuple[str, str, str]], width: int) -> None:
    columns = (Column("name", least=6), Column("number", right=True, least=4, drop=1), Column("words", least=5, drop=2))
    lines = lay_out(columns, [[cell(word) for word in row] for row in rows], width)
    assert len(lines) == len(rows) + 1
    for line in lines:
        assert line.cell_len <= width
        assert line.plain.isprintable() or not line.plain


def test_escape_sequences_in_headers_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in cell("NGC 1\x1b[2J\x07").plain


def test_a_column_that_says_nothing_is_left_out_if_it_may() -> None:
    columns = (Column("a"), Column("b", drop=1))
    assert lay_out(columns, [[cell("x"), cell("-")]], 80)[0].plain == "a"
    assert lay_out(columns, [[cell("x"), cell("y")]], 80)[0].plain == "a b"


def test_a_parameter_is_bad_when_its_source_is_silent() -> None:
    last = Last("roe1", "HK_temp_top_CCD1", 10**9, -100.0, None, "deg C", "ok", None)
    assert not line_of(last, {}, 2.0).bad
    line = line_of(last, {("roe1", "*"): ["stale"]}, 2.0)
    assert (line.bad, line.conditions, line.age_s) == (True, ("stale",), 1.0)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("hk_temp_*", True), ("HK_temp_top_CCD1", True), ("roe1:*", True), ("roe2:*", False), ("*OG*", False)],
)
def test_parameters_are_asked_for_by_pattern(pattern: str, fits: bool) -> None:
    last = Last("roe1", "HK_temp_top_CCD1", 0, 1.0, None, None, None, None)
    assert matches(line_of(last, {}, 0.0), [pattern]) is fits


def test_the_last_hour_is_binned_by_time_not_by_row() -> None:
    end = 3600 * 10**9
    times = np.array([1, 2, 3, end - 1, end], np.int64)
    bins = binned(times, np.array([1.0, 3.0, math.nan, 5.0, 7.0]), end)
    assert (bins[0], bins[-1], len(bins)) == (2.0, 6.0, BINS)
    assert all(math.isnan(value) for value in bins[1:-1])


def night_view(**changes: Any) -> NightView:
    empty: dict[str, Any] = {"exposures": [], "total": 0, "frames": {}, "routes": [], "queues": [], "alerts": []}
    return NightView(**{"site": "summit", "night": "20260115", "now": CLOSED, "daemons": [], **empty, **changes})


def test_what_is_wrong_stands_on_a_narrow_screen_before_its_name() -> None:
    message = "HK_temp_top_CCD1 -92.48 degC is above -95 degC (warning)"
    alert = AlertLine("housekeeping:roe1:HK_temp_top_CCD1:high", 1, message, CLOSED - 720, None)
    line = night_lines(night_view(alerts=[alert]), 80)[1].plain
    assert line.startswith(f"! 12m: {message}  housek")
    assert len(line) == 80


def test_a_night_without_exposures_names_the_newest_and_no_daemon_is_said() -> None:
    lines = [line.plain for line in night_lines(night_view(newest="20260114"), 80)]
    assert "no exposures of this night; the newest on record is 20260114" in lines
    assert "no daemon runs on this host" in lines
    assert "no exposures yet" in [line.plain for line in night_lines(night_view(night=None), 80)]


def test_values_that_nobody_watches_were_within_limits_and_are_not() -> None:
    said = [
        hk_lines(HousekeepingView("summit", CLOSED, [], 5, 0, troubles), lambda line: [], 80)[0].plain
        for troubles in ([], ["housekeep is not running: nobody watches these values"])
    ]
    assert "all within limits" in said[0]
    assert "all were within limits" in said[1]


def test_parameters_that_have_limits_stand_before_those_that_have_none() -> None:
    lines = [line_of(Last("r", name, 0, 1.0, None, None, said, None), {}, 0.0) for name, said in
             (("A", None), ("B", "ok"), ("C", "warning"), ("D", "error"), ("E", None))]  # fmt: skip
    conditions = {("r", "E"): ["stale"]}
    lines[4] = line_of(Last("r", "E", 0, 1.0, None, None, None, None), conditions, 0.0)
    assert [line.parameter for line in sorted(lines, key=order)] == ["D", "C", "E", "B", "A"]


def test_a_terminal_that_cannot_move_its_cursor_is_not_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    check_watch(watching=True, as_json=False)
    monkeypatch.setenv("TERM", "dumb")
    check_watch(watching=True, as_json=True)
    with pytest.raises(click.UsageError, match="TERM=dumb cannot"):
        check_watch(watching=True, as_json=False)


class OneRecord:
    """A view that never changes."""

    def records(self) -> Iterator[dict[str, Any]]:
        yield {"what": "night", "now": 1.0}


def test_watching_into_a_pipe_ends_with_its_reader_also_when_there_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    looks: list[OneRecord] = []

    def look() -> OneRecord:
        looks.append(OneRecord())
        if len(looks) == 2:
            assert os.read(reader, 100) == b'{"what": "night", "now": 1.0}\n'
            os.close(reader)
        return looks[-1]

    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        follow(True, 0.001, look, lambda view, width, height: [])
    assert len(looks) == 2
