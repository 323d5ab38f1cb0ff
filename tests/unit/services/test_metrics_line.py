"""Line protocol: what is written is what InfluxDB reads."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from services.core.metrics.line import line


def test_names_tags_and_fields_are_escaped_and_sorted() -> None:
    text = line("my metric", {"b": "x=1, y", "a": "é"}, {"v": 1.5, "n": 3, "ok": True, "s": 'say "hi" \\'}, 7)
    assert text == 'my\\ metric,a=é,b=x\\=1\\,\\ y n=3i,ok=true,s="say \\"hi\\" \\\\",v=1.5 7'


def test_what_line_protocol_cannot_say_is_left_out() -> None:
    assert line("m", {"empty": ""}, {"nan": math.nan, "inf": math.inf, "v": 0.1}, 1) == "m v=0.1 1"
    assert line("m", {}, {"nan": math.nan}, 1) is None


@given(
    st.dictionaries(st.text(min_size=1), st.text()),
    st.dictionaries(
        st.text(min_size=1), st.floats() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text(), min_size=1
    ),
)
def test_a_point_is_always_one_line(tags: dict[str, str], fields: dict[str, float | int | bool | str]) -> None:
    text = line("m", tags, fields, 1)
    assert text is None or ("\n" not in text and "\r" not in text)
