"""Certifying and withdrawing at random: whatever persons say, planning comes to rest, and at the best choice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.instrument import Instrument, Instruments, load_instruments
from processors.masters.associate import CalibrationKey, MasterRef, Role, Validity
from services.conductor.plan import plan
from services.conductor.rules import rules_of
from services.conductor.view import FrameView, Plan, Rules, TaskView, View
from services.core.settings import ConductSettings
from tests.builders import digest, identity, sequence

NIGHTS = ("20260101", "20260102", "20260103", "20260104")
NEEDS: tuple[Role, ...] = ("bias", "dark", "flat", "badpix")
RULES = Rules(
    production="live",
    sequence_quiet_s=100.0,
    calibration_wait_s=1000.0,
    calibration_max_age_days=2,
    min_bias=3,
    min_flat=3,
    reduce_without=frozenset({"bias", "dark", "flat"}),
    min_dark=3,
    calibrate={"simcam": NEEDS},
)
STRICT = replace(RULES, reduce_without=frozenset({"dark"}))
LATE = 1e6  # every wait is over


@dataclass
class Centre:
    """What the ledger and the workers do, in memory. Products are made from what their task is planned with."""

    rules: Rules
    frames: list[FrameView]
    tasks: dict[str, TaskView] = field(default_factory=dict)
    masters: dict[str, MasterRef] = field(default_factory=dict)
    made_from: dict[str, set[str]] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)  # master by task
    moves: Counter[str] = field(default_factory=Counter)

    def view(self) -> View:
        under_way = [t for t in self.tasks.values() if t.state in {"ready", "running"} and "key" in t.parameters]
        withdrawn = {m.sha256 for m in self.masters.values() if m.withdrawn}
        current = set(self.newest.values())
        return View(
            tuple(self.frames),
            tuple(self.tasks.values()),
            tuple(m for m in self.masters.values() if m.sha256 in current or m.validity or m.withdrawn),
            frozenset(CalibrationKey(**task.parameters["key"]) for task in under_way),
            frozenset(sha for sha, inputs in self.made_from.items() if inputs & withdrawn),
        )

    def plan(self, now: float = LATE) -> Plan:
        """Plan, and write it down as `services.conductor.rounds` does."""
        made = plan(self.view(), self.rules, now)
        assert plan(self.view(), self.rules, now) == made
        for task in made.new:
            assert task.task not in self.tasks
            self.tasks[task.task] = TaskView(task.task, task.kind, task.state, task.parameters, task.inputs)
        for freed in made.freed:
            old = self.tasks[freed.task]
            assert old.state == freed.came_from
            self.tasks[freed.task] = TaskView(freed.task, old.kind, freed.to, freed.parameters, freed.inputs)
            self.moves[freed.task] += 1
        return made

    def work(self, name: str) -> None:
        """Do a ready task."""
        task = self.tasks[name]
        assert task.state == "ready"
        self.tasks[name] = replace(task, state="done")
        if "key" not in task.parameters:
            return
        key = CalibrationKey(**task.parameters["key"])
        sha = digest(name + repr(sorted(task.inputs)))
        date = f"{key.night[:4]}-{key.night[4:6]}-{key.night[6:]}T22:00:00"
        self.masters.setdefault(sha, MasterRef(key, date, f"/{sha[:8]}", sha))
        self.made_from[sha] = {given for given, role in task.inputs if role not in {"frame", "reference"}}
        self.newest[name] = sha

    def ready(self) -> list[str]:
        return sorted(name for name, task in self.tasks.items() if task.state == "ready")

    def settle(self, most: int = 12) -> None:
        """Plan and work until nothing moves: that must not take long."""
        for _ in range(most):
            made = self.plan()
            if not made.new and not made.freed and not self.ready():
                return
            for name in self.ready():
                self.work(name)
        raise AssertionError(f"planning does not come to rest: {self.moves.most_common(3)}")

    def reductions(self) -> list[tuple[FrameView, TaskView]]:
        tasks = {task.inputs[0][0]: task for task in self.tasks.values() if task.kind == "reduce"}
        return [(frame, tasks[frame.sha256]) for frame in self.frames if frame.sha256 in tasks]


def observe(night: str, *kinds: str) -> list[FrameView]:
    """Three frames of each kind of calibration, and one science frame."""
    evening, number = f"{night[:4]}-{night[4:6]}-{night[6:]}", int(night)
    found: list[FrameView] = []
    for kind in kinds:
        for n in range(1, 4):
            fields: dict[str, Any] = {"obstype": kind, "night": night, "date_obs": f"{evening}T2{n}:00:00"}
            fields |= {"expid": number * 100 + len(found), "sequence": sequence(n, 3, f"{kind}{night}")}
            if kind == "flat":
                fields["filter"] = "g"
            found.append(FrameView(digest(f"{kind}{night}{n}"), identity(**fields), "arrived", 0.0))
    target = identity(
        obstype="science", night=night, filter="g", date_obs=f"{evening}T23:30:00", expid=number * 100 + 99
    )
    return [*found, FrameView(digest(f"science{night}"), target, "arrived", 0.0)]


def centre(rules: Rules = RULES, **nights: tuple[str, ...]) -> Centre:
    """A centre at rest, with these nights (n1, n2, …) and their calibrations."""
    frames = [frame for name, kinds in nights.items() for frame in observe(NIGHTS[int(name[1:]) - 1], *kinds)]
    made = Centre(rules, frames)
    made.settle()
    return made


def find(made: Centre, kind: str, night: str) -> MasterRef:
    (found,) = (m for m in made.masters.values() if m.key.kind == kind and m.key.night == night)
    return found


def say(made: Centre, master: MasterRef, *validity: Validity, withdrawn: bool = False) -> None:
    made.masters[master.sha256] = replace(made.masters[master.sha256], validity=validity, withdrawn=withdrawn)


def inputs_of(made: Centre, night: str) -> dict[str, str]:
    (task,) = (task for frame, task in made.reductions() if frame.identity.night == night)
    return {role: sha for sha, role in task.inputs if role != "frame"}


def test_a_finished_reduction_is_done_again_when_a_better_master_is_certified_and_only_once() -> None:
    made = centre(n1=("bias", "flat"), n2=("bias", "flat"))
    first, second = find(made, "flat", NIGHTS[0]), find(made, "flat", NIGHTS[1])
    assert inputs_of(made, NIGHTS[1])["flat"] == second.sha256
    say(made, first, Validity(NIGHTS[1], NIGHTS[2]))
    done = made.plan()
    (freed,) = done.freed
    assert (freed.came_from, freed.to) == ("done", "ready")
    assert freed.reason == f"flat {first.path[1:]} is certified for {NIGHTS[1]}"
    assert made.plan().freed == ()
    made.settle()
    assert inputs_of(made, NIGHTS[1])["flat"] == first.sha256
    assert made.moves[freed.task] == 2  # when it was first reduced, and now


def test_a_master_that_is_merely_nearer_does_not_move_what_is_done() -> None:
    made = centre(n1=("bias", "flat"), n2=())
    before = dict(made.moves)
    assert inputs_of(made, NIGHTS[1])["flat"] == find(made, "flat", NIGHTS[0]).sha256
    made.frames += [f for f in observe(NIGHTS[2], "bias", "flat") if f.identity.obstype != "science"]
    say(made, find(made, "bias", NIGHTS[0]), Validity(NIGHTS[0], NIGHTS[0]))  # a word about something else
    made.settle()
    assert all(made.moves[name] == count for name, count in before.items() if "reduce" in name)


def test_what_used_a_withdrawn_master_goes_on_without_or_waits_as_the_settings_allow() -> None:
    for rules, state, flats in ((RULES, "ready", 0), (STRICT, "waiting", 0)):
        made = centre(rules, n1=("bias", "flat"))
        say(made, find(made, "flat", NIGHTS[0]), withdrawn=True)
        (freed,) = made.plan().freed
        assert (freed.to, freed.reason and "was withdrawn" in freed.reason) == (state, True)
        made.settle()
        assert list(inputs_of(made, NIGHTS[0])).count("flat") == flats
        say(made, find(made, "flat", NIGHTS[0]), Validity(NIGHTS[0], NIGHTS[0]))
        made.settle()
        assert inputs_of(made, NIGHTS[0])["flat"] == find(made, "flat", NIGHTS[0]).sha256


def test_darks_are_built_with_a_bias_and_used_for_flats_and_science() -> None:
    made = centre(n1=("bias", "dark", "flat"))
    bias, dark = find(made, "bias", NIGHTS[0]), find(made, "dark", NIGHTS[0])
    assert made.made_from[dark.sha256] == {bias.sha256}
    assert made.made_from[find(made, "flat", NIGHTS[0]).sha256] == {bias.sha256, dark.sha256}
    assert inputs_of(made, NIGHTS[0])["dark"] == dark.sha256
    assert not centre(n1=("dark",)).masters  # no bias, no dark
    assert "dark" not in inputs_of(centre(replace(RULES, min_dark=0), n1=("bias", "dark", "flat")), NIGHTS[0])


def test_withdrawing_a_bias_builds_again_what_was_made_with_it_and_what_was_made_with_that() -> None:
    made = centre(n1=("bias", "dark", "flat"), n2=("bias",))
    old = {kind: find(made, kind, NIGHTS[0]).sha256 for kind in ("bias", "dark", "flat")}
    assert inputs_of(made, NIGHTS[1])["flat"] == old["flat"]
    assert inputs_of(made, NIGHTS[1])["bias"] != old["bias"]
    say(made, made.masters[old["bias"]], withdrawn=True)
    made.settle()
    used = inputs_of(made, NIGHTS[1])
    assert not set(used.values()) & set(old.values())
    assert made.made_from[used["flat"]] == {used["bias"], used["dark"]}


def test_a_night_is_held_until_the_master_that_is_built_again_is_there() -> None:
    made = centre(n1=("bias", "dark", "flat"))
    say(made, find(made, "bias", NIGHTS[0]), withdrawn=True)
    assert made.plan().held == {NIGHTS[0]}
    made.settle()
    assert made.plan().held == frozenset()


def test_a_reduction_that_runs_with_a_withdrawn_master_holds_its_night() -> None:
    made = centre(n1=("bias", "flat"))
    (name,) = (task.task for _, task in made.reductions())
    made.tasks[name] = replace(made.tasks[name], state="running")
    say(made, find(made, "flat", NIGHTS[0]), withdrawn=True)
    done = made.plan()
    assert (done.held, done.freed) == (frozenset({NIGHTS[0]}), ())


@pytest.mark.parametrize("kind", ["fringe", "badpix", "superflat"])
def test_a_master_from_outside_is_used_once_it_is_certified(kind: Any) -> None:
    made = centre(replace(RULES, calibrate={"simcam": (*NEEDS, "fringe")}), n1=("bias", "flat"))
    key = replace(find(made, "flat" if kind != "badpix" else "bias", NIGHTS[0]).key, kind=kind)
    outside = MasterRef(key, "2026-01-01T22:00:00", "/outside", digest("outside"), (Validity(NIGHTS[0]),))
    made.masters[outside.sha256] = outside
    made.settle()
    assert inputs_of(made, NIGHTS[0])["flat" if kind == "superflat" else kind] == outside.sha256


def happen(made: Centre, what: str, number: int, first: str, last: str) -> None:
    """A person says a word about a master, a worker does something, or a frame comes late."""
    masters = sorted(made.masters)
    if what == "late":
        kind = ("bias", "dark", "flat")[number % 3]
        fields: dict[str, Any] = {"obstype": kind, "night": first, "filter": "g" if kind == "flat" else ""}
        fields |= {"date_obs": f"2026-01-{first[6:]}T21:30:00", "expid": 10**8 + number}
        late = FrameView(digest(f"late{kind}{first}"), identity(**fields), "arrived", 0.0)
        made.frames += [late] if late.sha256 not in {frame.sha256 for frame in made.frames} else []
    elif what == "work":
        for name in made.ready()[: number % 4]:
            made.work(name)
    elif masters:
        chosen = made.masters[masters[number % len(masters)]]
        if what in {"certify", "lend"}:
            until = last if not last or last >= first else first
            said = Validity(first, first if what == "lend" else until, copied=what == "lend")
            say(made, chosen, *dict.fromkeys((*chosen.validity, said)))
        else:
            say(made, chosen, withdrawn=what == "withdraw")


WORDS = st.lists(
    st.tuples(
        st.sampled_from(["certify", "certify", "lend", "withdraw", "forget", "work", "late"]),
        st.integers(0, 50),
        st.sampled_from(NIGHTS),
        st.sampled_from([*NIGHTS, ""]),
    ),
    max_size=14,
)
TAKEN = st.fixed_dictionaries(
    {f"n{n}": st.lists(st.sampled_from(["bias", "dark", "flat"]), unique=True).map(tuple) for n in (1, 2, 3)}
)


@settings(max_examples=80)
@given(TAKEN, WORDS, st.sampled_from([RULES, STRICT]))
def test_whatever_persons_say_planning_comes_to_rest_at_the_best_choice(
    taken: dict[str, tuple[str, ...]], words: list[tuple[str, int, str, str]], rules: Rules
) -> None:
    made = centre(rules, **taken)
    for word in words:
        happen(made, *word)
        made.plan()
        assert not made.plan().new  # what is written down is not written again

    made.settle()
    for _ in range(3):
        assert made.plan() == Plan((), (), frozenset())
    check_choices(made, rules)


def check_choices(made: Centre, rules: Rules) -> None:
    """Nothing is reduced with what was withdrawn, and all of it with what is certified for its night."""
    current = list(made.view().masters)
    for frame, task in made.reductions():
        used = {role: sha for sha, role in task.inputs if role != "frame"}
        choice = rules.choose(frame.identity, current)
        if task.state == "waiting":
            assert set(choice.missing) - rules.reduce_without
            continue
        assert not any(made.masters[sha].withdrawn for sha in used.values())
        for role, best in choice.chosen.items():
            if best.certified_for(frame.identity.night):
                assert used.get(role) == best.sha256


def test_the_instrument_file_or_the_settings_say_what_an_instrument_is_calibrated_with() -> None:
    simcam = load_instruments().named("simcam")
    spec = simcam.spec.model_copy(update={"needs_dark": True})
    warm = Instruments((Instrument(spec),))
    assert "dark" in rules_of(ConductSettings(), warm).calibrate["simcam"]
    assert rules_of(ConductSettings(), Instruments((simcam,))).calibrate == {}
    chosen = ConductSettings.model_validate({"calibrate": {"simcam": ["bias"]}})
    assert rules_of(chosen, warm).calibrate == {"simcam": ("bias",)}
