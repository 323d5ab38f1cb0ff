"""What is ready? A pure function from what the ledger holds to the tasks it should hold.

Three kinds of task: `check` for every frame as it arrives; `bias`, `dark` and `flat` for every group of calibration
frames, as soon as its sequences are complete (or have been quiet for long enough to believe that no more comes);
`reduce` for every science and standard frame (`services.conductor.reductions`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from processors.masters.associate import REDUCED, CalibrationKey, MasterRef, calibration_groups
from services.conductor.reductions import PENDING, SETTLED, Reductions, Shelf, task_name
from services.conductor.view import FrameView, Freed, Plan, Rules, TaskView, View
from services.core.ledger.centre import NewTask


@dataclass(frozen=True)
class _Group:
    """Calibration frames that make one master."""

    key: CalibrationKey
    task: str
    frames: tuple[FrameView, ...]
    gathered: bool  # every sequence complete, or quiet for long enough

    @property
    def date_obs(self) -> str:
        """The middle one of the frames' times (they are in order of time)."""
        return self.frames[len(self.frames) // 2].identity.date_obs


def plan(view: View, rules: Rules, now: float) -> Plan:
    """Decide what to do.

    Parameters
    ----------
    now : float
        Seconds since 1970 UTC.
    """
    tasks = {task.task: task for task in view.tasks}
    checks = [(task.state, sha) for task in view.tasks if task.kind == "check" for sha, _ in task.inputs]
    checked = {sha for state, sha in checks if state in SETTLED}
    # A frame that could not even be checked cannot be read: it must not spoil the master of the others.
    unreadable = {sha for state, sha in checks if state == "failed"}
    new: list[NewTask] = []
    for frame in view.frames:
        name = task_name(rules, "check", frame.sha256)
        if name not in tasks:
            new.append(_new(name, "check", "checks", frame.identity.night, {}, ((frame.sha256, "frame"),)))
    groups = _groups([frame for frame in view.frames if frame.sha256 not in unreadable], rules, now)
    coming = _coming(groups, tasks, view, rules)
    building = _Building(groups, Shelf(_competing(view, coming)), checked, rules)
    for group in groups:
        building.plan(group, tasks.get(group.task))
    again = {item.task for item in building.freed}
    shelf = Shelf(_competing(view, [*coming, *(group for group in groups if group.task in again)]))
    reductions = Reductions(view, rules, shelf, checked, now)
    for frame in view.frames:
        if frame.identity.obstype in REDUCED:
            reductions.plan(frame)
    new += [*building.new, *reductions.new]
    return Plan(tuple(new), (*building.freed, *reductions.freed), frozenset(building.held | reductions.held))


def _coming(groups: Sequence[_Group], tasks: Mapping[str, TaskView], view: View, rules: Rules) -> list[_Group]:
    """Groups of which a master is still to be expected. A dark is, if there is or will be a bias for it."""
    coming = [g for g in groups if g.key.kind != "dark" and _comes(g, tasks.get(g.task), rules)]
    shelf = Shelf(_competing(view, coming))
    for group in groups:
        if group.key.kind == "dark" and _comes(group, tasks.get(group.task), rules):
            identity = group.frames[0].identity
            if rules.choose(identity, shelf.of(identity)).bias is not None:
                coming.append(group)
    return coming


def _competing(view: View, coming: Sequence[_Group]) -> list[MasterRef]:
    """Masters to choose from. One that is still to come takes the place of its older self: tonight's is waited for.

    What a person has certified is that very file; it keeps its place.
    """
    keys = {group.key for group in coming}
    pending = [MasterRef(group.key, group.date_obs, path=PENDING) for group in coming]
    kept = []
    for master in view.masters:
        if master.validity or (master.key not in keys and master.key not in view.being_built):
            kept.append(master)
        elif master.key not in keys and not master.withdrawn:
            pending.append(MasterRef(master.key, master.date_obs, path=PENDING))
    return kept + pending


def _groups(frames: Sequence[FrameView], rules: Rules, now: float) -> list[_Group]:
    groups = []
    for key, found in calibration_groups((frame, frame.identity) for frame in frames).items():
        if rules.fewest(key.kind) == 0:
            continue
        digest = hashlib.sha256(repr(sorted(asdict(key).items())).encode()).hexdigest()[:12]
        name = f"{rules.production}-{key.kind}-{key.instrument}-{key.night}-{digest}"
        quiet = now - max(frame.arrived_at for frame in found) >= rules.sequence_quiet_s
        groups.append(_Group(key, name, found, quiet or _complete(key, found)))
    return groups


def _complete(key: CalibrationKey, frames: Sequence[FrameView]) -> bool:
    """Every sequence that the headers speak of is there, each exposure with all its detectors."""
    detectors: dict[tuple[str, int], set[str]] = {}
    totals: dict[str, int] = {}
    for frame in frames:
        identity = frame.identity
        if identity.sequence is None:
            return False
        totals[identity.sequence.id] = identity.sequence.total
        detectors.setdefault((identity.sequence.id, identity.sequence.num), set()).update(identity.detectors)
    wanted = 1 if key.detector else max(frame.identity.expected_detectors for frame in frames)
    return all(
        len(detectors.get((sequence, num), ())) >= wanted
        for sequence, total in totals.items()
        for num in range(1, total + 1)
    )


def _comes(group: _Group, task: TaskView | None, rules: Rules) -> bool:
    """Whether a master of this group is still to be expected."""
    if task is not None:
        return task.state not in SETTLED
    return not group.gathered or _enough(group, rules)


def _enough(group: _Group, rules: Rules) -> bool:
    exposures = {frame.identity.expid for frame in group.frames}
    return len(exposures) >= rules.fewest(group.key.kind)


class _Building:
    """The masters of one plan: `new` tasks, `freed` ones, and nights that are `held` until a task is settled."""

    def __init__(self, groups: Sequence[_Group], shelf: Shelf, checked: set[str], rules: Rules) -> None:
        self._shelf = shelf
        self._frames = {group.key: group.frames for group in groups}
        self._checked = checked
        self._rules = rules
        self.new: list[NewTask] = []
        self.freed: list[Freed] = []
        self.held: set[str] = set()
        self._again: set[CalibrationKey] = set()

    def plan(self, group: _Group, task: TaskView | None) -> None:
        """Decide on one group."""
        names = {frame.sha256 for frame in group.frames}
        if not group.gathered or not _enough(group, self._rules) or not names <= self._checked:
            return
        identity = group.frames[0].identity
        chosen = self._rules.choose(identity, self._shelf.of(identity)).chosen
        if any(self._pending(master) for master in chosen.values()):
            self.held.add(group.key.night)
            return
        if group.key.kind == "dark" and "bias" not in chosen:
            return  # what is left of a dark without its bias is mostly the bias
        inputs = [(name, "frame") for name in sorted(names)]
        inputs += [(master.sha256, role) for role, master in chosen.items()]
        if "bias" in chosen:
            # The biases themselves say the read noise, which the gain from these flats needs.
            inputs += [(frame.sha256, "reference") for frame in self._frames.get(chosen["bias"].key, ())]
        parameters = {"key": asdict(group.key)}
        if task is None:
            kind, night = group.key.kind, group.key.night
            self.new.append(_new(group.task, kind, "calibrations", night, parameters, tuple(inputs)))
        elif not _outdated(task, inputs):
            return
        elif task.state in SETTLED:
            reason = "its inputs have changed"
            self.freed.append(Freed(task.task, parameters, tuple(inputs), task.state, reason=reason))
            self._again.add(group.key)
        else:
            self.held.add(group.key.night)

    def _pending(self, master: MasterRef) -> bool:
        """Whether a master is still to come, or has just been sent to be built again."""
        return master.path == PENDING or (master.key in self._again and not master.validity)


def _outdated(task: TaskView, inputs: Sequence[tuple[str, str]]) -> bool:
    """Whether a master is to be built again: latecomers, a newer bias, an unreadable frame left out.

    What failed with the same inputs is not tried again by itself.
    """
    had = {item for item in task.inputs if item[1] != "reference"}
    return had != {item for item in inputs if item[1] != "reference"}


def _new(
    name: str,
    kind: str,
    queue: str,
    night: str,
    parameters: Mapping[str, Any],
    inputs: tuple[tuple[str, str], ...],
) -> NewTask:
    return NewTask(name, kind, queue, night, "ready", parameters, inputs)
