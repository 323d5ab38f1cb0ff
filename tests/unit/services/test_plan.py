"""What is ready? The conductor's decision, on views made by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from processors.masters.associate import MasterRef, calibration_key
from services.conductor.plan import plan
from services.conductor.view import FrameView, Plan, Rules, TaskView, View
from tests.builders import digest, identity, sequence

RULES = Rules(
    production="live",
    sequence_quiet_s=100.0,
    calibration_wait_s=1000.0,
    calibration_max_age_days=7,
    min_bias=3,
    min_flat=3,
    reduce_without=frozenset({"bias", "flat"}),
)


def frame(stem: str, arrived_at: float = 0.0, **changes: Any) -> FrameView:
    return FrameView(digest(stem), identity(**changes), "arrived", arrived_at)


def biases(count: int, total: int | None = None) -> list[FrameView]:
    return [frame(f"b{n}", expid=n, sequence=sequence(n, total or count)) for n in range(1, count + 1)]


def science(stem: str = "s", **changes: Any) -> FrameView:
    given = {"obstype": "science", "filter": "g", "date_obs": "2026-01-02T04:00:00", "expid": 900}
    return frame(stem, **{**given, **changes})


def checked(*frames: FrameView) -> list[TaskView]:
    return [TaskView(f"live-check-{f.sha256[:24]}", "check", "done", {}, ((f.sha256, "frame"),)) for f in frames]


def master(of: FrameView, stem: str) -> MasterRef:
    key = calibration_key(of.identity)
    assert key is not None
    return MasterRef(key, of.identity.date_obs, f"/{stem}", digest(stem))


def decide(
    frames: list[FrameView], tasks: list[TaskView], masters: tuple[MasterRef, ...] = (), now: float = 0.0
) -> Plan:
    return plan(View(tuple(frames), tuple(tasks), masters), RULES, now)


def kinds(made: Plan) -> list[tuple[str, str]]:
    return sorted((task.kind, task.state) for task in made.new)


def test_every_frame_gets_one_check() -> None:
    frames = biases(2, total=5)
    assert kinds(decide(frames, [])) == [("check", "ready")] * 2
    assert kinds(decide(frames, checked(*frames))) == []


def test_a_master_is_built_as_soon_as_its_sequence_is_complete_and_checked() -> None:
    frames = biases(3)
    assert kinds(decide(frames, checked(*frames[:2]))) == [("check", "ready")]
    made = decide(frames, checked(*frames))
    assert kinds(made) == [("bias", "ready")]
    assert {sha for sha, _ in made.new[0].inputs} == {f.sha256 for f in frames}


def test_an_overfull_sequence_is_complete_too() -> None:
    frames = [*biases(3), frame("b3again", expid=4, sequence=sequence(3, 3))]
    assert kinds(decide(frames, checked(*frames))) == [("bias", "ready")]


def test_a_broken_sequence_is_taken_when_it_has_fallen_quiet() -> None:
    frames = biases(3, total=11)
    assert kinds(decide(frames, checked(*frames), now=99.0)) == []
    assert kinds(decide(frames, checked(*frames), now=100.0)) == [("bias", "ready")]


def test_too_few_frames_never_make_a_master() -> None:
    frames = biases(2)
    assert kinds(decide(frames, checked(*frames), now=1e6)) == []


def test_frames_of_each_detector_make_a_master_of_their_own() -> None:
    frames = [
        frame(f"b{n}d{d}", expid=n, detectors=(str(d),), expected_detectors=2, sequence=sequence(n, 3))
        for n in (1, 2, 3)
        for d in (1, 2)
    ]
    assert kinds(decide(frames, checked(*frames))) == [("bias", "ready")] * 2


def test_a_flat_waits_for_the_bias_that_is_still_to_come() -> None:
    bias_frames = biases(3)
    flats = [frame(f"f{n}", obstype="flat", filter="g", expid=10 + n, sequence=sequence(n, 3, "F")) for n in (1, 2, 3)]
    frames = bias_frames + flats
    made = decide(frames, checked(*frames))
    assert kinds(made) == [("bias", "ready")]
    bias = master(bias_frames[1], "bias")
    done = TaskView(made.new[0].task, "bias", "done", made.new[0].parameters, made.new[0].inputs)
    then = decide(frames, [*checked(*frames), done], (bias,))
    assert kinds(then) == [("flat", "ready")]
    assert (bias.sha256, "bias") in then.new[0].inputs


def test_a_science_frame_waits_and_is_freed_with_the_masters_it_uses() -> None:
    target = science()
    bias, flat = frame("b"), frame("f", obstype="flat", filter="g")
    assert ("reduce", "waiting") in kinds(decide([target], []))
    waiting = TaskView(f"live-reduce-{target.sha256[:24]}", "reduce", "waiting", {}, ((target.sha256, "frame"),))
    tasks = [*checked(target), waiting]
    masters = (master(bias, "bias"), master(flat, "flat"))
    freed = decide([target], tasks, masters).freed
    assert [item.task for item in freed] == [waiting.task]
    assert dict((role, sha) for sha, role in freed[0].inputs) == {
        "frame": target.sha256,
        "bias": digest("bias"),
        "flat": digest("flat"),
    }
    assert freed[0].parameters == {"without": []}
    assert decide([target], [waiting], masters).freed == ()  # not before its checks are done


def test_a_science_frame_waits_for_tonights_flat_rather_than_take_an_old_one() -> None:
    target = science()
    old = master(frame("f", obstype="flat", filter="g", night="20251230", date_obs="2025-12-30T20:00:00"), "oldflat")
    bias = master(frame("b"), "bias")
    tonight = [frame(f"f{n}", obstype="flat", filter="g", sequence=sequence(n, 5, "F")) for n in (1, 2)]
    waiting = TaskView(f"live-reduce-{target.sha256[:24]}", "reduce", "waiting", {}, ((target.sha256, "frame"),))
    tasks = [*checked(target, *tonight), waiting]
    assert decide([target, *tonight], tasks, (bias, old), now=50.0).freed == ()
    freed = decide([target, *tonight], tasks, (bias, old), now=100.0).freed  # tonight's are too few, and quiet
    assert (digest("oldflat"), "flat") in freed[0].inputs


def test_without_calibrations_it_waits_its_time_and_then_goes_as_the_settings_allow() -> None:
    target = science()
    waiting = TaskView(f"live-reduce-{target.sha256[:24]}", "reduce", "waiting", {}, ((target.sha256, "frame"),))
    tasks = [*checked(target), waiting]
    assert decide([target], tasks, now=999.0).freed == ()
    assert decide([target], tasks, now=1000.0).freed[0].parameters == {"without": ["bias", "flat"]}
    strict = Rules(**{**asdict(RULES), "reduce_without": frozenset({"flat"})})
    assert plan(View((target,), tuple(tasks), ()), strict, 1e6).freed == ()


def test_a_failed_master_is_waited_for_no_longer() -> None:
    target, frames = science(), biases(3)
    made = decide(frames, checked(*frames))
    failed = TaskView(made.new[0].task, "bias", "failed", {}, made.new[0].inputs)
    waiting = TaskView(f"live-reduce-{target.sha256[:24]}", "reduce", "waiting", {}, ((target.sha256, "frame"),))
    tasks = [*checked(target, *frames), failed, waiting]
    assert len(decide([target, *frames], tasks, now=1000.0).freed) == 1


def test_latecomers_make_a_master_again() -> None:
    frames = biases(4)
    made = decide(frames[:3], checked(*frames[:3]), now=100.0)
    done = TaskView(made.new[0].task, "bias", "done", {}, made.new[0].inputs)
    again = decide(frames, [*checked(*frames), done], (master(frames[1], "bias"),))
    assert [item.task for item in again.freed] == [done.task]
    assert {sha for sha, _ in again.freed[0].inputs} == {f.sha256 for f in frames}


def test_latecomers_hold_back_what_would_use_the_outdated_master() -> None:
    frames, target = biases(4), science()
    old = master(frames[1], "bias")
    done = TaskView(
        decide(frames[:3], checked(*frames[:3]), now=100.0).new[0].task,
        "bias",
        "done",
        {},
        tuple((f.sha256, "frame") for f in frames[:3]),
    )
    waiting = TaskView(f"live-reduce-{target.sha256[:24]}", "reduce", "waiting", {}, ((target.sha256, "frame"),))
    made = decide([*frames, target], [*checked(*frames, target), done, waiting], (old,), now=2000.0)
    assert [item.task for item in made.freed] == [done.task]


def test_a_flat_is_built_again_with_the_bias_that_superseded_its_own() -> None:
    frames = biases(3)
    flats = [frame(f"f{n}", obstype="flat", filter="g", expid=10 + n, sequence=sequence(n, 3, "F")) for n in (1, 2, 3)]
    tasks = checked(*frames, *flats)
    bias = decide(frames, checked(*frames)).new[0]
    tasks.append(TaskView(bias.task, "bias", "done", {}, bias.inputs))
    flat = decide([*frames, *flats], tasks, (master(frames[1], "old"),)).new[0]
    tasks.append(TaskView(flat.task, "flat", "done", {}, flat.inputs))
    assert decide([*frames, *flats], tasks, (master(frames[1], "old"),)).freed == ()
    again = decide([*frames, *flats], tasks, (master(frames[1], "new"),)).freed
    assert [item.task for item in again] == [flat.task]
    assert (digest("new"), "bias") in again[0].inputs


def test_an_unreadable_frame_does_not_spoil_the_master_of_the_others() -> None:
    frames = biases(5)
    tasks = checked(*frames[:4])
    spoilt = frames[4].sha256
    tasks.append(TaskView(f"live-check-{spoilt[:24]}", "check", "failed", {}, ((spoilt, "frame"),)))
    made = decide(frames, tasks, now=100.0)
    assert kinds(made) == [("bias", "ready")]
    assert {sha for sha, _ in made.new[0].inputs} == {f.sha256 for f in frames[:4]}
    failed = TaskView(made.new[0].task, "bias", "failed", {}, tuple((f.sha256, "frame") for f in frames))
    assert [item.task for item in decide(frames, [*tasks, failed], now=100.0).freed] == [failed.task]
    same = TaskView(made.new[0].task, "bias", "failed", {}, made.new[0].inputs)
    assert decide(frames, [*tasks, same], now=100.0).freed == ()


def test_the_same_view_gives_the_same_plan() -> None:
    frames = [*biases(3), science()]
    first = {task.task for task in decide(frames, []).new}
    assert first == {task.task for task in decide(list(reversed(frames)), []).new}
