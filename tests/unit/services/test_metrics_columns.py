"""Arrays in, lines out: the same lines that one point at a time would give, and every float64 comes back."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.core.metrics.columns import heads_of, texts, values_of
from services.core.metrics.line import line
from services.core.metrics.times import BadPoints, times_of

T0 = 1_700_000_000 * 10**9


def written(values: Any, times: Any, tags: Any, measurement: str = "m", field: str = "v") -> list[str]:
    array, there = values_of(values)
    stamps, known = times_of(times, len(array))
    there = there & known
    heads = heads_of(measurement, tags, len(array))
    if not isinstance(heads, str):
        heads = [head for head, is_there in zip(heads, there, strict=True) if is_there]
    made = list(texts(heads, field, array[there], stamps[there]))
    found = b"".join(text for _, text in made).decode().split("\n")[:-1]
    assert len(found) == sum(count for count, _ in made)
    return found


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(width=64)))
def test_every_float_comes_back_exactly_and_what_is_no_number_is_left_out(values: Any) -> None:
    lines = written(values, T0 + np.arange(len(values)), {"t": "x"})
    back = [float(text.split(" ")[1].removeprefix("v=")) for text in lines]
    assert np.array(back).tobytes() == values[np.isfinite(values)].tobytes()


@given(
    st.lists(st.tuples(st.floats() | st.none(), st.text(), st.text()), min_size=1, max_size=20),
    st.text(min_size=1).filter(lambda text: text.strip() and text != "time"),
)
def test_arrays_give_the_lines_that_one_point_at_a_time_gives(
    rows: list[tuple[float | None, str, str]], name: str
) -> None:
    values = [value for value, _, _ in rows]
    tags = [{name: first, "second": second} for _, first, second in rows]
    one_by_one = [
        line(name, tag, {name: math.nan if value is None else value}, T0 + index)
        for index, (value, tag) in enumerate(zip(values, tags, strict=True))
    ]
    expected = [text for text in one_by_one if text is not None]
    stamps = T0 + np.arange(len(rows))
    assert written(values, stamps, tags, name, name) == expected
    columns = {name: [tag[name] for tag in tags], "second": np.array([tag["second"] for tag in tags], dtype=object)}
    assert written(values, stamps, columns, name, name) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, -2], ["m v=1i 500000000000000000", "m v=-2i 500000000000000001"]),
        (np.array([7], dtype=np.uint16), ["m v=7i 500000000000000000"]),
        ([True, False], ["m v=true 500000000000000000", "m v=false 500000000000000001"]),
        (['a "b"', "c\\"], ['m v="a \\"b\\"" 500000000000000000', 'm v="c\\\\" 500000000000000001']),
        (np.array([b"x", b"y"]), ['m v="x" 500000000000000000', 'm v="y" 500000000000000001']),
        (["a", None], ['m v="a" 500000000000000000']),
        ([None, 1.5], ["m v=1.5 500000000000000001"]),
        (np.ma.masked_array([1.0, 2.0], [True, False]), ["m v=2.0 500000000000000001"]),
        (np.float32(0.5), ["m v=0.5 500000000000000000"]),
        ([], []),
    ],
)
def test_values_of_every_kind(values: Any, expected: list[str]) -> None:
    count = np.atleast_1d(np.asarray(values, dtype=object)).size
    assert written(values, 5 * 10**17 + np.arange(count), {}) == expected


@pytest.mark.parametrize(
    "times",
    [
        1_700_000_000.25,
        [1_700_000_000.25],
        1_700_000_000_250_000_000,
        np.datetime64("2023-11-14T22:13:20.250"),
        datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC),
        datetime(2023, 11, 14, 19, 13, 20, 250_000, tzinfo=timezone(timedelta(hours=-3))),
        datetime(2023, 11, 14, 22, 13, 20, 250_000),
        Time("2023-11-14T22:13:20.250", scale="utc"),
        Time("2023-11-14T22:13:20.250", scale="utc").tai,
    ],
)
def test_times_of_every_kind(times: Any) -> None:
    assert times_of(times, 1)[0].tolist() == [1_700_000_000_250_000_000]


def test_a_time_that_is_none_leaves_its_point_out() -> None:
    assert written([1.0, 2.0], [math.nan, 1.7e9], {}) == [f"m v=2.0 {T0}"]
    assert written([1.0, 2.0], np.array(["NaT", "2023-11-14T22:13:20"], dtype="datetime64[s]"), {}) == [f"m v=2.0 {T0}"]


@pytest.mark.parametrize(
    ("values", "times", "tags", "word"),
    [
        ([[1.0]], T0, {}, "one axis"),
        ([1.0, 2.0], [T0, T0, T0], {}, "expected one, or 2"),
        ([1.0], 1_700_000_000, {}, "seconds as floats"),
        ([1.0], 1e12, {}, "beyond the years"),
        ([1.0], np.datetime64("3000-01-01"), {}, "beyond the years"),
        ([1.0], "yesterday", {}, "timestamps"),
        ([1.0], T0, [{}, {}], "expected one mapping, or 1"),
        ([1.0], T0, {"a": ["x", "y"]}, "expected 1"),
        ([1.0], T0, {"": "x"}, "no name"),
        ([1.0], T0, {"time": "x"}, "no name"),
        ([1.0], T0, {"a": [["x"]]}, "expected text"),
        ([np.uint64(2**63)], T0, {}, "beyond 64 bits"),
        ([object()], T0, {}, "neither"),
        ([1j], T0, {}, "expected numbers"),
    ],
)
def test_what_makes_no_points_is_said(values: Any, times: Any, tags: Any, word: str) -> None:
    with pytest.raises(BadPoints, match=word):
        written(values, times, tags)


def test_a_line_never_begins_like_a_comment() -> None:
    assert written([1.0], T0, {}, "#m") == [f"_m v=1.0 {T0}"]
    assert line("#m", {}, {"v": 1.0}, 1) == "_m v=1.0 1"


def test_a_none_more_or_less_does_not_change_the_type_of_a_field() -> None:
    stamps = T0 + np.arange(3)
    for values, words in (
        ([2**53 + 1, None, np.int64(-3)], ["9007199254740993i", "-3i"]),
        ([True, None, np.False_], ["true", "false"]),
        ([1, None, 2.5], ["1.0", "2.5"]),
        (["a", None, "b"], ['"a"', '"b"']),
    ):
        assert [text.split(" ")[1] for text in written(values, stamps, {})] == [f"v={word}" for word in words]
    assert written([None], T0, {}) == []


@pytest.mark.parametrize(
    ("values", "times", "tags", "word"),
    [
        ([1.0], np.array([2**63 + 5], dtype=np.uint64), {}, "beyond the years"),
        ([1.0], T0 // 1000, {}, "too small"),  # microseconds
        ([1.0], np.float32(1.7e9), {}, "float64"),
        ([1.0], np.datetime64(2**62, "Y"), {}, "beyond the years"),
        ([1.0, 2.0], [1e9, 2e9], {"wafer": b"w1"}, "expected text"),
        ([1.0, 2.0], [1e9, 2e9], {"wafer": {"a", "b"}}, "expected text"),
        ([1.0, 2.0], [1e9, 2e9], {"wafer": {"a": 1, "b": 2}}, "expected text"),
        ([1.0, 2.0], [1e9, 2e9], {"wafer": (each for each in "ab")}, "expected text"),
        ([1.0, 2.0], [1e9, 2e9], ({"wafer": each} for each in "ab"), "expected one mapping"),
        ([1.0, 2.0], [1e9, 2e9], ["a", "b"], "expected one mapping"),
        ([1.0, 2.0], [1e9, 2e9], None, "expected one mapping"),
        ([[1.0], [2.0, 3.0]], 1e9, {}, "values"),
        ([2**64, None], [1e9, 2e9], {}, "64 bits"),
        ((each for each in (1.0, 2.0)), 1e9, {}, "neither"),
    ],
)
def test_what_would_be_written_wrong_is_refused(values: Any, times: Any, tags: Any, word: str) -> None:
    with pytest.raises(BadPoints, match=word):
        written(values, times, tags)


def test_masked_times_an_attosecond_and_a_tag_of_no_axis() -> None:
    times = np.ma.array([1e9, 2e9], mask=[False, True])
    assert written([1.0, 2.0], times, {"wafer": np.array("w")}) == [f"m,wafer=w v=1.0 {10**18}"]
    assert written([1.0], np.datetime64(10**18 + 10**9, "as"), {}) == ["m v=1.0 1000000001"]
