"""Refusals of every version, and which lines they speak of."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.metrics.refusal import culprits, refusal_of, suspects

CONFLICT = (
    'partial write: field type conflict: input field "v w" on measurement "m,n" is type string, '
    "already exists as type float dropped={}"
)
LINES = ["m\\,n,a=1 v\\ w=1.0 1", 'm\\,n,a=1 v\\ w="x" 2', "m\\,nn v\\ w=1.0 3", 'm\\,n u="v\\ w=1",v\\ w="y" 4']


def test_version_1_and_2_name_the_field_that_conflicts() -> None:
    one = refusal_of(json.dumps({"error": CONFLICT.format(2)}).encode())
    two = refusal_of(json.dumps({"code": "unprocessable entity", "message": CONFLICT.format(2)}).encode())
    for refusal in (one, two):
        assert refusal is not None and refusal.of_points
        assert sorted(culprits(refusal, LINES)) == [1, 3]


def test_a_count_that_does_not_fit_is_not_believed() -> None:
    refusal = refusal_of(json.dumps({"error": CONFLICT.format(3)}).encode())
    assert refusal is not None
    assert culprits(refusal, LINES) == {}
    assert suspects(refusal, LINES) == [1, 3]


def test_a_refusal_of_everything_is_one_of_every_line() -> None:
    refusal = refusal_of(b'{"error":"partial write: points beyond retention policy dropped=4"}')
    assert refusal is not None
    assert sorted(culprits(refusal, LINES)) == [0, 1, 2, 3]


def test_version_3_numbers_the_lines() -> None:
    data = [{"original_line": "m v=", "line_number": 2, "error_message": "no value"}, {"line_number": 99}, 7]
    refusal = refusal_of(json.dumps({"error": "partial write of line protocol occurred", "data": data}).encode())
    assert refusal is not None
    assert culprits(refusal, LINES) == {1: "no value"}


@pytest.mark.parametrize("body", [b"", b"<html>400 Bad Request</html>", b"[]", b'"no"', b'{"code":"invalid"}', b"\xff"])
def test_what_influxdb_did_not_say_is_no_refusal(body: bytes) -> None:
    assert refusal_of(body) is None


def test_a_refusal_that_speaks_of_no_points_is_marked() -> None:
    refusal = refusal_of(b'{"error":"invalid precision"}')
    assert refusal is not None and not refusal.of_points
    assert culprits(refusal, LINES) == {}
    assert culprits(refusal, LINES[:1]) == {0: "invalid precision"}


@given(st.binary(max_size=60) | st.text(max_size=80).map(lambda text: json.dumps({"error": text}).encode()))
def test_no_answer_breaks_the_reading(body: bytes) -> None:
    refusal = refusal_of(body)
    if refusal is not None:
        assert set(culprits(refusal, LINES)) <= {0, 1, 2, 3}
