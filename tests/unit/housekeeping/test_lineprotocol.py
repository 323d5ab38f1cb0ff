"""Line protocol that is sent to us: whatever our own writer makes is read back, and nonsense has a reason."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.metrics.line import line
from services.housekeeping.lineprotocol import parse_line

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\\"), min_size=1, max_size=12)
VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.integers(-(2**53), 2**53) | NAMES


# A measurement is never written with a '#' in front, which would make its line a comment.
MEASUREMENTS = NAMES.filter(lambda name: not name.startswith("#"))


@given(MEASUREMENTS, st.dictionaries(NAMES, NAMES, max_size=3), st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_what_we_write_we_read(measurement: str, tags: dict[str, str], fields: dict[str, float | str]) -> None:
    text = line(measurement, tags, fields, 17)
    assert text is not None
    point = parse_line(text)
    assert (point.measurement, point.tags, point.time) == (measurement, tags, 17)
    assert point.fields == {name: value if isinstance(value, str) else float(value) for name, value in fields.items()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "m ",
        "m f",
        "m f=",
        "m =1",
        "m f=1x",
        "m f=nan",
        "m f=1e999",
        'm f="open',
        "m f=1 soon",
        ",t=1 f=1",
        "m,t f=1",
    ],
)
def test_nonsense_has_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_line(text)


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_line(text)
