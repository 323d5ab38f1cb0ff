"""The policy: who is told what, when, and never twice."""

from __future__ import annotations

from dataclasses import replace

from services.alerts.body import body_of, slim
from services.alerts.policy import decide
from services.alerts.situation import Condition, Need, Planned
from tests.unit.alerts.world import World, settings_of


def test_severity_one_is_a_mail_and_severity_two_a_mail_and_an_sms() -> None:
    world = World(settings_of())
    world.raised("disk:archive:full", 1)
    assert world.run(30) == ["raised anna mail 1"]
    world.raised("route:centre:host_key", 2)
    assert world.run(60) == ["raised anna mail 1", "raised anna sms 1"]


def test_an_alert_that_stays_is_one_message_until_its_repeat() -> None:
    world = World(settings_of())
    world.raised("disk:archive:full", 1)
    assert world.run(14_400) == ["raised anna mail 1"]
    assert world.run(30) == ["repeat anna mail 1"]


def test_nobody_acknowledges_severity_two_so_it_goes_down_the_chain_and_to_everybody() -> None:
    world = World(settings_of(escalate_after_s=900, repeat_s={2: 10_000}))
    world.raised("sequence:simcam:silent", 2)
    assert world.run(900) == ["raised anna mail 1", "raised anna sms 1"]
    assert world.run(60) == ["escalated ben mail 1", "escalated ben sms 1"]
    assert world.run(840) == []
    assert world.run(60) == ["escalated carla mail 1"]


def test_an_acknowledgement_stops_repeats_and_escalation_and_those_who_were_told_hear_the_end() -> None:
    world = World(settings_of())
    world.raised("sequence:simcam:silent", 2)
    world.run(60)
    world.acked("sequence:simcam:silent")
    assert world.run(10_000) == []
    world.resolved("sequence:simcam:silent")
    assert world.run(60) == ["resolved anna mail 1", "resolved anna sms 1"]
    assert world.run(3600) == []


def test_a_storm_is_one_message_by_each_kind_and_step() -> None:
    world = World(settings_of())
    for number in range(500):
        world.raised(f"housekeeping:roe:T{number}:high", 2)
    assert world.run(120, poll_s=20) == ["raised anna mail 500", "raised anna sms 500"]
    at_15_min = ["repeat anna mail 500", "repeat anna sms 500", "escalated ben mail 500", "escalated ben sms 500"]
    assert world.run(840, poll_s=60) == at_15_min
    for number in range(500):
        world.resolved(f"housekeeping:roe:T{number}:high")
    assert sorted(world.run(60)) == [f"resolved {who} 500" for who in ("anna mail", "anna sms", "ben mail", "ben sms")]


def test_a_storm_that_goes_on_is_told_at_a_growing_pace() -> None:
    world = World(settings_of())
    sent = []
    for number in range(150):
        world.raised(f"check:frame{number}", 1)
        sent += world.run(20, poll_s=10)
    sent += world.run(400)
    # 3000 s of one new condition every 20 s
    assert len(sent) <= 16, sent
    assert sum(int(line.split()[-1]) for line in sent) == 150


def test_three_within_the_group_are_three_messages_four_are_one() -> None:
    for number, expected in ((3, ["raised anna mail 1"] * 3), (4, ["raised anna mail 4"])):
        world = World(settings_of())
        for index in range(number):
            world.raised(f"check:frame{index}", 1)
        assert world.run(60) == expected


def test_a_flapping_condition_is_told_once_and_then_held_quiet_until_it_calms_down() -> None:
    world = World(settings_of(flap_count=3, flap_window_s=1800, group_s=0))
    sent = []
    for _ in range(100):
        world.raised("clock:offset", 1)
        sent += world.run(30)
        world.resolved("clock:offset")
        sent += world.run(30)
    assert sent == [
        *["raised anna mail 1", "resolved anna mail 1"] * 2,
        "flapping anna mail 1",
    ]
    assert world.run(3600) == ["resolved anna mail 1"], "it has calmed down"
    world.raised("clock:offset", 1)
    assert world.run(60) == ["raised anna mail 1"], "it is something new"


def test_a_condition_that_flaps_and_then_stays_is_told_again() -> None:
    world = World(settings_of(group_s=0))
    for _ in range(5):
        world.raised("clock:offset", 1)
        world.run(30)
        world.resolved("clock:offset")
        world.run(30)
    world.raised("clock:offset", 1)
    assert world.run(1700) == []
    assert world.run(200) == ["raised anna mail 1"]


def test_coming_and_going_that_was_acknowledged_calls_nobody_but_what_stays_after_it_does() -> None:
    world = World(settings_of(group_s=0, repeat_s={2: 300}))
    for _ in range(5):
        world.raised("clock:offset", 2)
        world.run(30)
        if world.conditions["clock:offset"].flapping is not None:
            world.acked("clock:offset")
            before = len(world.sent)
        world.resolved("clock:offset")
        world.run(30)
    assert world.conditions["clock:offset"].flapping is not None
    world.raised("clock:offset", 2)
    world.run(1700)
    assert len(world.sent) == before
    assert world.run(200) == ["raised anna mail 1", "raised anna sms 1"]


def test_a_condition_that_flaps_too_fast_to_be_told_is_told_as_flapping() -> None:
    world = World(settings_of(group_s=10))
    sent = []
    for _ in range(60):
        world.raised("clock:offset", 2)
        sent += world.run(2, poll_s=1)
        world.resolved("clock:offset")
        sent += world.run(2, poll_s=1)
    assert sent == ["flapping anna mail 1", "flapping anna sms 1"]


def test_severity_two_is_repeated_even_while_it_flaps() -> None:
    world = World(settings_of(group_s=0, repeat_s={2: 300}, escalate_after_s=100_000))
    sent = []
    for _ in range(60):
        world.raised("clock:offset", 2)
        sent += world.run(30)
        world.resolved("clock:offset")
        sent += world.run(30)
    assert sent.count("repeat anna sms 1") == 11  # an hour, every five minutes


def test_what_has_flapped_and_is_over_is_not_repeated_while_it_calms_down() -> None:
    world = World(settings_of(group_s=0, repeat_s={2: 300}, escalate_after_s=100_000))
    for _ in range(5):
        world.raised("queue:notifications:mail", 2)
        world.run(10)
        world.resolved("queue:notifications:mail")
        world.run(10)
    assert world.run(3600) == ["resolved anna mail 1", "resolved anna sms 1"]


def test_what_flaps_is_never_told_as_over_because_it_is_away_for_the_moment() -> None:
    condition = Condition("clock:offset", 2, "the clock is off", open=False, raised_at=1.0, episode=3, resolved_at=2.0)
    for what, over in (("flapping", None), ("escalated", None), ("resolved", 2.0)):
        need = Need(condition, 1, what, what, "anna", ("mail",), 1.0)  # type: ignore[arg-type]
        (document,) = body_of(Planned(what, "anna", "mail", (need,)), settings_of())["alerts"]  # type: ignore[arg-type]
        assert document["resolved_at"] == over


def test_what_gets_worse_in_mid_alert_is_an_sms_at_once_and_not_acknowledged_any_more() -> None:
    world = World(settings_of())
    world.raised("housekeeping:roe:T1:high", 1)
    world.run(60)
    world.acked("housekeeping:roe:T1:high")
    world.raised("housekeeping:roe:T1:high", 2)
    assert world.run(60) == ["worse anna mail 1", "worse anna sms 1"]


def test_muted_alerts_are_told_when_the_mute_is_over() -> None:
    world = World(settings_of(escalate_after_s=900))
    world.raised("disk:a", 1)
    world.raised("disk:b", 2)
    world.run(30)
    world.mute("disk:*", 7200)
    assert world.run(7190) == []
    world.resolved("disk:a")
    assert world.run(60) == ["repeat anna mail 1", "repeat anna sms 1", "resolved anna mail 1"]
    assert world.run(900)[-2:] == ["escalated ben mail 1", "escalated ben sms 1"], "its time begins with the mute's end"


def test_what_came_and_went_while_muted_reaches_nobody() -> None:
    world = World(settings_of())
    world.mute("disk:*", 7200)
    world.raised("disk:a", 2)
    world.run(600)
    world.resolved("disk:a")
    assert world.run(20_000) == []


def test_what_came_and_went_while_the_daemon_was_away_is_one_mail() -> None:
    world = World(settings_of())
    world.raised("disk:a", 2)
    world.now += 3600
    world.resolved("disk:a")
    world.now += 3600
    assert world.run(60) == ["resolved anna mail 1"]


def test_a_hiccup_shorter_than_the_group_reaches_nobody() -> None:
    world = World(settings_of())
    world.raised("route:centre:unreachable", 2)
    world.run(6, poll_s=1)
    world.resolved("route:centre:unreachable")
    assert world.run(3600) == []


def test_without_a_group_the_shortest_hiccup_is_told() -> None:
    world = World(settings_of(group_s=0))
    world.raised("route:centre:unreachable", 2)
    world.now += 0.5
    world.resolved("route:centre:unreachable")
    assert world.run(60) == ["resolved anna mail 1"]


def test_who_has_no_telephone_is_told_by_mail_and_who_has_no_mail_by_telephone() -> None:
    people = {"anna": {"sms": "+56911111111"}, "ben": {"mail": "ben@example.org"}}
    world = World(settings_of(people=people))
    world.raised("disk:a", 1)
    assert world.run(30) == ["raised anna sms 1"]
    world = World(settings_of(people=people, oncall={"default": ["ben"]}))
    world.raised("disk:a", 2)
    assert world.run(30) == ["raised ben mail 1"]


def test_the_next_of_the_chain_is_told_at_once_when_nothing_reaches_the_first() -> None:
    world = World(settings_of())
    world.raised("disk:a", 2)
    world.run(30)
    world.tellings = [replace(telling, failed=True) for telling in world.tellings]
    assert world.run(60) == ["escalated ben mail 1", "escalated ben sms 1"]


def test_quiet_hours_hold_severity_one_until_the_morning() -> None:
    oncall = {"default": ["anna"], "quiet_hours": "22:00-07:00"}
    at_23 = 1_795_302_000.0  # 2026-11-21 23:00 UTC
    world = World(settings_of(oncall=oncall), now=at_23)
    world.raised("disk:a", 1)
    world.raised("disk:b", 2)
    assert world.run(60) == ["raised anna mail 1", "raised anna sms 1"]
    assert "raised anna mail 1" not in world.run(8 * 3600 - 120, poll_s=60)
    assert "raised anna mail 1" in world.run(120)


def test_what_came_and_went_in_quiet_hours_is_told_in_the_morning_only_when_it_was_grave() -> None:
    oncall = {"default": ["anna"], "quiet_hours": "22:00-07:00"}
    world = World(settings_of(oncall=oncall), now=1_795_302_000.0)  # 2026-11-21 23:00 UTC
    world.raised("disk:a", 1)
    world.now += 3600  # the daemon is away
    world.raised("disk:b", 2)
    world.now += 3600
    world.resolved("disk:a")
    world.resolved("disk:b")
    assert world.run(8 * 3600, poll_s=60) == ["resolved anna mail 1"]


def test_a_shift_that_begins_in_mid_alert_is_told() -> None:
    oncall = {"default": ["anna"], "shifts": [{"hours": "08:00-20:00", "chain": ["ben"]}]}
    world = World(settings_of(oncall=oncall), now=1_795_302_000.0)
    world.raised("disk:a", 1)
    assert world.run(60) == ["raised anna mail 1"]
    assert "escalated ben mail 1" in world.run(9 * 3600 + 60, poll_s=60)


def test_the_same_decision_twice_has_the_same_keys() -> None:
    world = World(settings_of())
    for number in range(10):
        world.raised(f"check:frame{number}", 2)
    world.now += 60
    first, second = (decide(world.situation(), world.settings).messages for _ in range(2))
    assert [planned.key for planned in first] == [planned.key for planned in second]
    assert len({planned.key for planned in first}) == 2
    assert all(len(planned.key) <= 250 for planned in first)


def test_a_message_of_many_keeps_every_number_and_the_trends_of_the_first_few() -> None:
    details = {
        "value": 21.0,
        "limit": 20.0,
        "unit": "C",
        "trend": [[0.0, 20.0], [60.0, 21.0]],
        "limits": {"high": 20.0},
    }
    slimmed = [each["details"] for each in slim([{"alert": f"a:{n}", "details": details} for n in range(6)])]
    assert slimmed[:4] == [details] * 4
    assert slimmed[4:] == [{"value": 21.0, "limit": 20.0, "unit": "C"}] * 2
