"""What `nightferry build-master` does, step by step: files sorted, calibrations chosen, one master of each group."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from processors.check_frame import open_frame
from processors.errors import ProcessorError
from processors.fits import Frame
from processors.header import read_headers
from processors.instrument import Instruments
from processors.masters.associate import REDUCED, Candidate, explain
from processors.masters.badpix import SOURCES, Limits, build_badpix
from processors.masters.build import Master, MasterKind, Recipe, build_master, read_master
from processors.masters.inputs import SKY_KINDS
from processors.masters.ref import ROLES, CalibrationKey, key_of
from services.cli.common import one_line

# kinds of the masters that frames for a master of each kind are calibrated with
_CALIBRATED_WITH: Final[dict[str, tuple[str, ...]]] = {
    "dark": ("bias",),
    "flat": ("bias", "dark"),
    "skyflat": ("bias", "dark"),
    "superflat": ("bias", "dark", "flat", "skyflat"),
    "fringe": ("bias", "dark", "flat", "skyflat"),
}


@dataclass(frozen=True)
class Choice:
    """A master to be built: its name and inputs, and the calibrations that were looked at for it."""

    name: str
    frames: tuple[Frame, ...] = ()
    masters: tuple[Master, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def steps(self) -> int:
        """How often its building ticks."""
        return sum(1 + len(frame.setups) for frame in self.frames) or 1


@dataclass
class Sorted:
    """The files of a run. `ignored` and `failed`: what is not used, and what could not be, with the reason."""

    frames: list[Frame] = field(default_factory=list)
    masters: list[Master] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def sort_files(kind: MasterKind, files: Sequence[Path], instruments: Instruments) -> Sorted:
    """Open every file, and put it where it belongs in a master of this kind."""
    found = Sorted()
    seen: dict[tuple[str, str, int, tuple[str, ...]], str] = {}
    for path in files:
        try:
            what = read_headers(path)[0].get("NFKIND")
            if what is not None:
                _sort_product(kind, str(what), path, found)
                continue
            frame = open_frame(path, instruments)
        except (ProcessorError, OSError) as error:
            found.failed[str(path)] = one_line(error)
            continue
        one = frame.identity
        twin = seen.setdefault((one.instrument, one.night, one.expid, one.detectors), str(path))
        if not (one.obstype in REDUCED if kind in SKY_KINDS else one.obstype == kind):
            found.ignored[str(path)] = f"obstype {one.obstype}"
        elif kind in SKY_KINDS and one.mode == "spectroscopy":
            found.ignored[str(path)] = "a spectrum"
        elif twin != str(path):
            found.failed[str(path)] = f"the same exposure as {twin}"
        else:
            found.frames.append(frame)
    return found


def _sort_product(kind: str, what: str, path: Path, found: Sorted) -> None:
    wanted = what in SOURCES if kind == "badpix" else what in _CALIBRATED_WITH.get(kind, ())
    master = read_master(path) if wanted else None
    if master is None:
        found.ignored[str(path)] = f"a product of kind {what}"
    elif kind == "badpix" and master.key.mode == "spectroscopy":
        found.ignored[str(path)] = "a flat of spectra"
    else:
        found.masters.append(master)


def choices(kind: MasterKind, found: Sorted, max_age_days: float) -> list[Choice]:
    """The masters that can be built of what there is, one of each group, in the order of their keys.

    Groups whose names would be the same but for signs that a file's name does not bear are numbered.
    """
    made: list[Choice] = []
    taken: set[str] = set()
    for choice in _choices(kind, found, max_age_days):
        name, number = choice.name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{choice.name}_{number}"
        taken.add(name.casefold())
        made.append(replace(choice, name=name))
    return made


def _choices(kind: MasterKind, found: Sorted, max_age_days: float) -> list[Choice]:
    if kind == "badpix":
        sets: dict[CalibrationKey, list[Master]] = {}
        for master in found.masters:
            sets.setdefault(_of_any_night(replace(master.key, kind=kind, filter="", mode="", slit="")), []).append(
                master
            )
        return [
            Choice(_name(_first_night(key, [m.key.night for m in group])), (), tuple(group))
            for key, group in sorted(sets.items())
        ]
    groups: dict[CalibrationKey, list[Frame]] = {}
    for frame in found.frames:
        groups.setdefault(_of_any_night(key_of(kind, frame.identity)), []).append(frame)
    return [_choice(key, group, found.masters, max_age_days) for key, group in sorted(groups.items())]


def _choice(key: CalibrationKey, group: Sequence[Frame], masters: Sequence[Master], max_age_days: float) -> Choice:
    frames = sorted(group, key=lambda frame: (frame.identity.date_obs, frame.path.name))
    suited = [master.ref for master in masters]
    roles = tuple({ROLES[ref.key.kind]: None for ref in suited})
    # asked for as a science frame is, which may need every role
    asking = replace(frames[len(frames) // 2].identity, obstype="science")
    candidates = explain(asking, suited, max_age_days, needs=roles)
    paths = {candidate.ref.path for candidate in candidates if candidate.chosen}
    chosen = tuple(master for master in masters if str(master.path) in paths)
    name = _name(_first_night(key, [frame.identity.night for frame in frames]))
    return Choice(name, tuple(frames), chosen, candidates)


def build(
    kind: MasterKind,
    choice: Choice,
    output: Path,
    recipe: Recipe,
    limits: Limits,
    threads: int,
    tick: Callable[[], None],
) -> Master:
    """Build one master (ProcessorError, OSError)."""
    software = f"nightferry {importlib.metadata.version('nightferry')}"
    path = output / f"{choice.name}.fits"
    if kind == "badpix":
        made = build_badpix(choice.masters, path, limits, software=software)
        tick()
        return made
    by_role: dict[str, Any] = {ROLES[master.key.kind]: master for master in choice.masters}
    return build_master(
        kind,
        choice.frames,
        path,
        by_role.get("bias"),
        dark=by_role.get("dark"),
        flat=by_role.get("flat"),
        recipe=recipe,
        software=software,
        scratch=output,
        threads=threads,
        tick=tick,
    )


def _of_any_night(key: CalibrationKey) -> CalibrationKey:
    return replace(key, night="")


def _first_night(key: CalibrationKey, nights: Sequence[str]) -> CalibrationKey:
    return replace(key, night=min(nights))


def _name(key: CalibrationKey) -> str:
    words = ["master", key.kind, key.instrument, key.night, key.filter, key.slit, key.detector, key.readout]
    return "_".join("".join(c if c.isalnum() or c in "-." else "-" for c in word) for word in words if word)
