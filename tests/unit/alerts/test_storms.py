"""Many conditions that come and go for hours: nobody is flooded, and what is grave is told at once."""

from __future__ import annotations

import random
from collections import Counter

from tests.unit.alerts.world import World, settings_of


def test_a_storm_of_severity_one_does_not_hold_up_severity_two() -> None:
    world = World(settings_of())
    for number in range(60):
        world.raised(f"check:frame{number}", 1)
        world.run(20, poll_s=10)
    world.raised("route:centre:host_key", 2)
    assert any(line.split()[2] == "sms" for line in world.run(15, poll_s=5))


def test_repeats_of_many_that_come_and_go_are_joined() -> None:
    chance = random.Random(1)
    world = World(settings_of(oncall={"default": ["anna"]}))
    for _ in range(120):
        for number in chance.sample(range(40), 4):
            name = f"housekeeping:roe:T{number}:high"
            known = world.conditions.get(name)
            if known is not None and known.open:
                world.resolved(name)
            else:
                world.raised(name, 2)
        world.tick(60.0)
    told = Counter((planned.what, planned.person, planned.kind) for _, planned in world.sent)
    assert told["repeat", "anna", "sms"] <= 2 * 3600 / 450 + 1
