"""A clock that is set back by hours, and hosts whose clocks differ: nothing stays untold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.alerts.world import World, settings_of

HOURS = 3 * 3600.0


def test_a_clock_that_is_set_back_does_not_hold_up_what_is_new() -> None:
    world = World(settings_of())
    world.raised("disk:archive:full", 1)
    assert world.run(30) == ["raised anna mail 1"]
    world.now -= HOURS
    world.raised("route:centre:host_key", 2)
    sent = world.run(30)
    assert sent.count("raised anna mail 1") == 1
    assert sent.count("raised anna sms 1") == 1


def test_a_clock_that_is_set_back_does_not_stop_repeats_and_escalation() -> None:
    world = World(settings_of(escalate_after_s=900, repeat_s={2: 900}))
    world.raised("sequence:simcam:silent", 2)
    world.run(30)
    world.now -= HOURS
    assert world.run(30) == ["repeat anna mail 1", "repeat anna sms 1"]
    due = ["escalated ben mail 1", "escalated ben sms 1", "repeat anna mail 1", "repeat anna sms 1"]
    assert sorted(world.run(960)) == due
    assert len(world.run(HOURS)) < 60  # and nobody is flooded when the clock is where it was


@pytest.mark.parametrize("ahead_s", [5.0, HOURS])
def test_a_condition_of_a_host_whose_clock_is_ahead_is_told_now(ahead_s: float) -> None:
    world = World(settings_of())
    world.raised("daemon:watch", 2)
    known = world.conditions["daemon:watch"]
    world.conditions["daemon:watch"] = replace(known, raised_at=world.now + ahead_s, raises=(world.now + ahead_s,))
    assert world.run(30) == ["raised anna mail 1", "raised anna sms 1"]
    world.conditions["daemon:watch"] = replace(known, open=False, resolved_at=world.now + ahead_s)
    assert world.run(30) == ["resolved anna mail 1", "resolved anna sms 1"]
