"""Times that were written down, as far as the clock can be believed."""

from __future__ import annotations

from services.conditions.base import Steady

NOW = 1_000_000.0


def test_what_is_written_down_while_a_sweep_looks_is_not_of_another_clock() -> None:
    # given a process that has looked for a day; a heartbeat, or a frame, that comes while it looks is none of yesterday
    steady = Steady(begun_at=NOW - 86_400.0)
    assert steady.when(NOW + 0.3, NOW) == NOW
    assert steady.when(NOW + 30.0, NOW) == NOW
    assert steady.when(NOW - 5.0, NOW) == NOW - 5.0


def test_a_time_that_is_yet_to_come_and_one_before_the_clock_was_set_say_nothing() -> None:
    steady = Steady(begun_at=NOW - 20.0, set_at=NOW - 20.0)
    assert steady.when(NOW + 3600.0, NOW) == NOW - 20.0
    assert steady.when(NOW - 3600.0, NOW) == NOW - 20.0
    assert steady.when(NOW + 0.3, NOW) == NOW
