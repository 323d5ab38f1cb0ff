"""Pieces of a file that several connections carry: none is lost, none runs too far ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transfer.remotes.sftp.stripes import Stripes


@given(
    st.integers(0, 400),
    st.integers(0, 2000),
    st.integers(1, 60),
    st.integers(60, 500),
    st.lists(st.integers(0, 30), max_size=400),
)
def test_any_order_of_arrivals_and_breaks(start: int, more: int, piece: int, window: int, choices: list[int]) -> None:
    size = start + more
    stripes = Stripes(start, size, piece, window)
    written = bytearray(start * b"\1" + bytes(more))  # the server's file
    reach = start
    on_way: list[tuple[int, int, int]] = []

    def arrive(index: int) -> None:
        number, offset, length = on_way.pop(index)
        written[offset : offset + length] = b"\1" * length
        stripes.arrived(number)

    for choice in choices:
        if choice == 0:  # every connection breaks
            on_way.clear()
            stripes.again()
        elif choice < 12 and (taken := stripes.take()) is not None:
            stripes.sent()
            on_way.append(taken)
            reach = max(reach, taken[1] + taken[2])
        elif on_way:
            arrive(choice % len(on_way))
        assert all(written[: stripes.prefix])
        assert all(written[: max(0, reach - window)])  # what a new process would believe
        assert stripes.reach <= reach
        assert stripes.left == size - start - sum(written[start:])
    while not stripes.all_arrived:
        while (taken := stripes.take()) is not None:
            stripes.sent()
            on_way.append(taken)
        arrive(-1)
    assert all(written)
    assert stripes.left == 0
    assert stripes.all_sent


def test_without_a_window_everything_may_go_at_once() -> None:
    stripes = Stripes(10, 1000, 100, None)
    assert [stripes.take() for _ in range(10)] == [(n, 10 + 100 * n, 100 if n < 9 else 90) for n in range(10)]
    assert stripes.take() is None
