"""When a science frame is reduced, with which masters, and when it is done again.

A frame waits for the masters it would choose. When `calibration_wait_s` is over it goes without those that nobody has,
as far as the settings allow. A finished reduction is done again when the choice has become a better one by a person's
word: a master was certified for its night, or one that it was made with was withdrawn (or was made with a withdrawn
one, and has been built again). What merely is nearer in time does not count, and what a task was planned with last is
compared with a choice that depends on nothing but the registry: while nobody certifies or withdraws anything, nothing
moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from processors.identity import FrameIdentity
from processors.masters.associate import ROLES, MasterRef, Matches
from processors.masters.ref import detector_of
from services.conductor.view import FrameView, Freed, Rules, TaskView, View
from services.core.ledger.centre import NewTask

PENDING: Final = "(pending)"  # path of a master that is still to come
SETTLED: Final = frozenset({"done", "failed"})
UNDER_WAY: Final = frozenset({"ready", "queued", "running"})


def task_name(rules: Rules, kind: str, sha256: str) -> str:
    """Name of the task that does one thing with one frame."""
    return f"{rules.production}-{kind}-{sha256[:24]}"


class Shelf:
    """Masters, by what every choice asks first: instrument and detector."""

    def __init__(self, masters: Iterable[MasterRef]) -> None:
        self._by_place: dict[tuple[str, str], list[MasterRef]] = {}
        for master in masters:
            self._by_place.setdefault((master.key.instrument, master.key.detector), []).append(master)

    def of(self, identity: FrameIdentity) -> list[MasterRef]:
        """The masters of a frame's instrument and detector."""
        places = dict.fromkeys(((identity.instrument, ""), (identity.instrument, detector_of(identity))))
        return [master for place in places for master in self._by_place.get(place, ())]


class Reductions:
    """The reductions of one plan: `new` tasks, `freed` ones, and nights that are `held` until a task is settled."""

    def __init__(self, view: View, rules: Rules, shelf: Shelf, checked: set[str], now: float) -> None:
        self._rules = rules
        self._shelf = shelf
        self._checked = checked
        self._now = now
        self._tasks = {task.task: task for task in view.tasks}
        self._masters = {master.sha256: master for master in view.masters}
        self._spoilt = view.spoilt
        # Without a person's word no finished task is looked at again.
        self._said = any(master.validity or master.withdrawn for master in view.masters)
        self.new: list[NewTask] = []
        self.freed: list[Freed] = []
        self.held: set[str] = set()

    def plan(self, frame: FrameView) -> None:
        """Decide on one frame."""
        name = task_name(self._rules, "reduce", frame.sha256)
        task = self._tasks.get(name)
        if task is None:
            inputs = ((frame.sha256, "frame"),)
            self.new.append(NewTask(name, "reduce", "reductions", frame.identity.night, "waiting", {}, inputs))
        elif task.state == "waiting" and frame.sha256 in self._checked:
            self._plan_waiting(frame, task)
        elif task.state in SETTLED and self._said:
            self._plan_settled(frame, task)
        elif self._said and task.state in UNDER_WAY and self._why_again(frame, task, self._choose(frame)):
            self.held.add(frame.identity.night)

    def _plan_waiting(self, frame: FrameView, task: TaskView) -> None:
        made = self._choose(frame)
        if _pending(made):
            return
        if made.missing and (not self._waited_enough(frame) or not self._may_go_without(made)):
            return
        self.freed.append(_freed(frame, task, made, None))

    def _plan_settled(self, frame: FrameView, task: TaskView) -> None:
        made = self._choose(frame)
        reason = self._why_again(frame, task, made)
        if not reason:
            return
        if _pending(made):
            self.held.add(frame.identity.night)
        elif self._may_go_without(made):
            self.freed.append(_freed(frame, task, made, reason))
        elif task.state == "done":
            inputs = ((frame.sha256, "frame"),)
            self.freed.append(Freed(task.task, {}, inputs, task.state, "waiting", reason))

    def _why_again(self, frame: FrameView, task: TaskView, made: Matches) -> str:
        """Why a settled task is to be done with other masters; empty when it is not."""
        had: dict[str, str] = {role: sha for sha, role in task.inputs if role != "frame"}
        night = frame.identity.night
        for role in dict.fromkeys(ROLES.values()):
            choice, old = made.chosen.get(role), had.get(role)
            if choice is not None and choice.sha256 == old:
                continue
            if choice is not None and choice.certified_for(night):
                return f"{role} {Path(choice.path).name} is certified for {night}"
            known = self._masters.get(old) if old is not None else None
            if known is not None and known.withdrawn:
                return f"{role} {Path(known.path).name} was withdrawn"
            if choice is not None and old in self._spoilt:
                return f"{role} {old[:12]} was made with a master that was withdrawn"
        return ""

    def _choose(self, frame: FrameView) -> Matches:
        return self._rules.choose(frame.identity, self._shelf.of(frame.identity))

    def _waited_enough(self, frame: FrameView) -> bool:
        return self._now - frame.arrived_at >= self._rules.calibration_wait_s

    def _may_go_without(self, made: Matches) -> bool:
        return set(made.missing) <= self._rules.reduce_without


def _pending(made: Matches) -> bool:
    return any(master.path == PENDING for master in made.chosen.values())


def _freed(frame: FrameView, task: TaskView, made: Matches, reason: str | None) -> Freed:
    masters = tuple((master.sha256, role) for role, master in made.chosen.items())
    parameters = {"without": sorted(made.missing)}
    return Freed(task.task, parameters, ((frame.sha256, "frame"), *masters), task.state, "ready", reason)
