"""Mapping with threads gives what mapping without them gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from processors.ordered import in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(20), threads)) == [number * number for number in range(20)]


def test_few_items_are_in_flight() -> None:
    begun = []

    def items() -> Iterator[int]:
        for number in range(50):
            begun.append(number)
            yield number

    results = in_order(lambda number: number, items(), 3)
    assert next(results) == 0
    assert len(begun) <= 4


def test_work_is_done_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=30)

    def meet(number: int) -> int:
        together.wait()
        return number

    assert list(in_order(meet, range(4), 2)) == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_in_its_place(threads: int) -> None:
    def work(number: int) -> int:
        if number == 4:
            raise ValueError("four")
        return number

    got = []
    with pytest.raises(ValueError, match="four"):
        for number in in_order(work, range(10), threads):
            got.append(number)
    assert got == [0, 1, 2, 3]
