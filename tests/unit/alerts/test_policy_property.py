"""Whatever happens to conditions: nobody is told a step twice, nobody is left untold, never silent when it matters."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.alerts.flapping import still_flapping
from services.alerts.situation import Condition
from tests.unit.alerts.world import World, settings_of

NAMES = ("disk:a", "disk:b", "clock:offset", "route:centre:full", "housekeeping:roe:T1:high")
POLL_S = 7.0
SHORT = settings_of(
    group_s=10,
    group_more_than=2,
    group_max_s=60,
    repeat_s={1: 600, 2: 120},
    escalate_after_s=200,
    flap_count=3,
    flap_window_s=400,
)
# How long a person on call may not know: the group, the pace of a storm, a poll or two.
LATE_S = 10 + 60 + 3 * POLL_S


class Alerts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(SHORT)
        self.quiet_since: dict[str, float] = {}  # when nothing stood between a condition and its messages any more

    @rule(name=st.sampled_from(NAMES), severity=st.sampled_from([1, 2]))
    def raised(self, name: str, severity: int) -> None:
        self._raise(name, severity)

    @rule(severity=st.sampled_from([1, 2]))
    def storm(self, severity: int) -> None:
        for name in NAMES:
            self._raise(name, severity)

    def _raise(self, name: str, severity: int) -> None:
        known = self.world.conditions.get(name)
        if known is not None and known.severity < severity:
            self.quiet_since.pop(name, None)  # it is news again: the time to tell it begins now
        self.world.raised(name, severity)

    @rule(name=st.sampled_from(NAMES))
    def resolved(self, name: str) -> None:
        self.world.resolved(name)

    @rule(name=st.sampled_from(NAMES))
    def acked(self, name: str) -> None:
        self.world.acked(name)

    @precondition(lambda self: len(self.world.mutes) < 3)
    @rule(pattern=st.sampled_from(["disk:*", "clock:offset", "*"]), seconds=st.sampled_from([30.0, 300.0]))
    def muted(self, pattern: str, seconds: float) -> None:
        self.world.mute(pattern, seconds)

    @rule(rounds=st.sampled_from([1, 3, 30, 100]))
    def time_passes(self, rounds: int) -> None:
        for _ in range(rounds):
            self.world.tick(POLL_S)
            self._look()

    @rule(seconds=st.sampled_from([60.0, 1000.0, 100_000.0]))
    def daemon_is_away(self, seconds: float) -> None:
        self.world.now += seconds
        self.quiet_since.clear()
        self.world.tick()
        self._look()

    def _look(self) -> None:
        """After every round: what must be true of each condition."""
        world = self.world
        for name, condition in world.conditions.items():
            window = SHORT.flap_window_s
            lasts = condition.open or still_flapping(condition, world.now, window)
            due = lasts and condition.acked_at is None and not world.muted(name)
            if not due:
                self.quiet_since.pop(name, None)
                continue
            self._knows(condition, world.now - self.quiet_since.setdefault(name, world.now))

    def _knows(self, condition: Condition, waited_s: float) -> None:
        world = self.world
        episode = condition.flapping or condition.episode
        told = [t for t in world.tellings if t.alert == condition.alert and t.episode == episode]
        open_s = world.now - condition.raised_at
        if min(waited_s, open_s) > LATE_S:
            assert told, f"{condition.alert} is told to nobody"
        if condition.severity < 2 or min(waited_s, open_s) <= LATE_S:
            return
        last = max(t.at for t in told)
        assert world.now - last <= 120 + LATE_S, f"silent about {condition.alert} for {world.now - last} s"
        grave = [t.at for t in told if t.severity >= 2]
        assert grave, f"{condition.alert} got worse and nobody was told"
        if min(waited_s, world.now - min(grave)) > 2 * 200 + LATE_S:
            assert {t.person for t in told} == {"anna", "ben", "carla"}, "the chain has come to its end"

    @invariant()
    def nobody_is_told_a_step_twice(self) -> None:
        keys = Counter((t.alert, t.episode, t.step, t.person, t.kind) for t in self.world.tellings)
        assert not [key for key, number in keys.items() if number > 1]
        messages = Counter(planned.key for _, planned in self.world.sent)
        assert not [key for key, number in messages.items() if number > 1]

    @invariant()
    def the_end_is_told_to_those_who_heard_of_it(self) -> None:
        told: dict[tuple[str, int], set[str]] = {}
        for telling in self.world.tellings:
            group = told.setdefault((telling.alert, telling.episode), set())
            if telling.step == "resolved" and group:
                assert telling.person in group
            group.add(telling.person)

    @invariant()
    def one_round_says_one_thing_to_a_person(self) -> None:
        """At most `group_more_than` messages of what is new, one of repeats and one of ends, by each kind."""
        rounds = Counter((at, p.person, p.kind) for at, p in self.world.sent)
        assert max(rounds.values(), default=0) <= SHORT.group_more_than + 2


Alerts.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestAlerts = Alerts.TestCase
