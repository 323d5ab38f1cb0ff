"""What is ready? A pure function from what the ledger holds to the tasks it should hold.

Three kinds of task: `check` for every frame as it arrives; `bias` and `flat` for every group of calibration frames, as
soon as its sequences are complete (or have been quiet for long enough to believe that no more comes); `reduce` for
every science and standard frame, as soon as the calibrations it would choose are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from processors.associate import REDUCED, CalibrationKey, MasterRef, calibration_groups, matching_masters
from services.conductor.view import FrameView, Freed, Plan, Rules, TaskView, View
from services.core.ledger.centre import NewTask

_BUILT: Final = frozenset({"bias", "flat", "skyflat"})
_SETTLED: Final = frozenset({"done", "failed"})
_PENDING: Final = "(pending)"


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
    checked = {sha for state, sha in checks if state in _SETTLED}
    # A frame that could not even be checked cannot be read: it must not spoil the master of the others.
    unreadable = {sha for state, sha in checks if state == "failed"}
    new: list[NewTask] = []
    freed: list[Freed] = []
    for frame in view.frames:
        name = _name(rules, "check", frame.sha256)
        if name not in tasks:
            new.append(_new(name, "check", "checks", frame.identity.night, {}, ((frame.sha256, "frame"),)))
    groups = _groups([frame for frame in view.frames if frame.sha256 not in unreadable], rules, now)
    coming = [group for group in groups if _comes(group, tasks.get(group.task), rules)]
    masters = _competing(view.masters, coming)
    by_key = {group.key: group.frames for group in groups}
    for group in groups:
        _plan_master(group, tasks.get(group.task), masters, by_key, checked, rules, new, freed)
    again = {item.task for item in freed}
    masters = _competing(view.masters, [*coming, *(group for group in groups if group.task in again)])
    for frame in view.frames:
        if frame.identity.obstype in REDUCED:
            _plan_reduction(frame, tasks, masters, checked, rules, now, new, freed)
    return Plan(tuple(new), tuple(freed))


def _competing(masters: Sequence[MasterRef], coming: Sequence[_Group]) -> list[MasterRef]:
    """Masters to choose from. One that is still to come takes the place of its older self: tonight's is waited for."""
    keys = {group.key for group in coming}
    pending = [MasterRef(group.key, group.date_obs, path=_PENDING) for group in coming]
    return [master for master in masters if master.key not in keys] + pending


def _groups(frames: Sequence[FrameView], rules: Rules, now: float) -> list[_Group]:
    groups = []
    for key, found in calibration_groups((frame, frame.identity) for frame in frames).items():
        if key.kind not in _BUILT:
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
        return task.state not in _SETTLED
    return not group.gathered or _enough(group, rules)


def _enough(group: _Group, rules: Rules) -> bool:
    exposures = {frame.identity.expid for frame in group.frames}
    return len(exposures) >= (rules.min_bias if group.key.kind == "bias" else rules.min_flat)


def _plan_master(
    group: _Group,
    task: TaskView | None,
    masters: Sequence[MasterRef],
    by_key: Mapping[CalibrationKey, Sequence[FrameView]],
    checked: set[str],
    rules: Rules,
    new: list[NewTask],
    freed: list[Freed],
) -> None:
    names = {frame.sha256 for frame in group.frames}
    if not group.gathered or not _enough(group, rules) or not names <= checked:
        return
    inputs: list[tuple[str, str]] = [(name, "frame") for name in sorted(names)]
    if group.key.kind != "bias":
        matches = matching_masters(group.frames[0].identity, masters, rules.calibration_max_age_days)
        if matches.bias is not None and matches.bias.path == _PENDING:
            return
        if matches.bias is not None:
            inputs.append((matches.bias.sha256, "bias"))
            # The biases themselves say the read noise, which the gain from these flats needs.
            inputs += [(frame.sha256, "reference") for frame in by_key.get(matches.bias.key, ())]
    parameters = {"key": asdict(group.key)}
    if task is None:
        new.append(_new(group.task, group.key.kind, "calibrations", group.key.night, parameters, tuple(inputs)))
    elif task.state in _SETTLED and _outdated(task, inputs):
        freed.append(Freed(task.task, parameters, tuple(inputs)))


def _outdated(task: TaskView, inputs: Sequence[tuple[str, str]]) -> bool:
    """Whether a master is to be built again: latecomers, a newer bias, an unreadable frame left out.

    What failed with the same inputs is not tried again by itself.
    """
    had = {item for item in task.inputs if item[1] != "reference"}
    return had != {item for item in inputs if item[1] != "reference"}


def _plan_reduction(
    frame: FrameView,
    tasks: Mapping[str, TaskView],
    masters: Sequence[MasterRef],
    checked: set[str],
    rules: Rules,
    now: float,
    new: list[NewTask],
    freed: list[Freed],
) -> None:
    name = _name(rules, "reduce", frame.sha256)
    task = tasks.get(name)
    inputs: tuple[tuple[str, str], ...] = ((frame.sha256, "frame"),)
    if task is None:
        new.append(_new(name, "reduce", "reductions", frame.identity.night, {}, inputs, state="waiting"))
        return
    if task.state != "waiting" or frame.sha256 not in checked:
        return
    matches = matching_masters(frame.identity, masters, rules.calibration_max_age_days)
    chosen = {"bias": matches.bias, "flat": matches.flat}
    if any(master is not None and master.path == _PENDING for master in chosen.values()):
        return
    missing = {kind for kind, master in chosen.items() if master is None}
    if missing and (now - frame.arrived_at < rules.calibration_wait_s or not missing <= rules.reduce_without):
        return
    more = tuple((master.sha256, kind) for kind, master in chosen.items() if master is not None)
    freed.append(Freed(name, {"without": sorted(missing)}, inputs + more))


def _name(rules: Rules, kind: str, sha256: str) -> str:
    return f"{rules.production}-{kind}-{sha256[:24]}"


def _new(
    name: str,
    kind: str,
    queue: str,
    night: str,
    parameters: Mapping[str, Any],
    inputs: tuple[tuple[str, str], ...],
    *,
    state: str = "ready",
) -> NewTask:
    return NewTask(name, kind, queue, night, state, parameters, inputs)
