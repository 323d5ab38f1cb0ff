"""Which calibration frames belong together, and which master suits a frame: pure decisions on identities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from processors.identity import FrameIdentity
from processors.masters.ref import (
    OF_OBSTYPE,
    ROLES,
    CalibrationKey,
    Kind,
    MasterRef,
    Role,
    Validity,
    calibration_key,
    key_of,
)
from processors.masters.suitability import DOME_PENALTY_DAYS, days_apart, obstacle, rank

__all__ = [
    "MAX_AGE_DAYS",
    "NEEDS",
    "REDUCED",
    "ROLES",
    "TEMPERATURE_TOLERANCE_C",
    "CalibrationKey",
    "Candidate",
    "Kind",
    "MasterRef",
    "Matches",
    "Role",
    "Validity",
    "calibration_groups",
    "calibration_key",
    "explain",
    "key_of",
    "matching_masters",
    "roles_for",
]

T = TypeVar("T")

REDUCED: Final = frozenset({"science", "standard"})  # obstypes of which products are made
NEEDS: Final[tuple[Role, ...]] = ("bias", "flat", "badpix")  # what a science frame gets unless it is said otherwise
MAX_AGE_DAYS: Final = 30.0
TEMPERATURE_TOLERANCE_C: Final = 5.0
_OPTIONAL: Final = frozenset({"fringe", "badpix"})  # used where there is one, never missed


@dataclass(frozen=True, slots=True)
class Matches:
    """The masters for a frame by role, and the roles that it needs and nobody fills."""

    chosen: Mapping[Role, MasterRef]
    missing: tuple[Role, ...] = ()

    @property
    def bias(self) -> MasterRef | None:
        """The master bias."""
        return self.chosen.get("bias")

    @property
    def dark(self) -> MasterRef | None:
        """The master dark."""
        return self.chosen.get("dark")

    @property
    def flat(self) -> MasterRef | None:
        """The master flat, of the dome, a lamp or the sky."""
        return self.chosen.get("flat")

    @property
    def fringe(self) -> MasterRef | None:
        """The fringe pattern."""
        return self.chosen.get("fringe")

    @property
    def badpix(self) -> MasterRef | None:
        """The bad-pixel mask."""
        return self.chosen.get("badpix")


def calibration_groups(frames: Iterable[tuple[T, FrameIdentity]]) -> dict[CalibrationKey, tuple[T, ...]]:
    """Frames of each master, in order of time; biases come first, as darks and flats need them."""
    groups: dict[CalibrationKey, list[tuple[str, int, T]]] = {}
    for number, (frame, identity) in enumerate(frames):
        key = calibration_key(identity)
        if key is not None:
            groups.setdefault(key, []).append((identity.date_obs, number, frame))
    return {key: tuple(frame for _, _, frame in sorted(groups[key], key=lambda g: g[:2])) for key in sorted(groups)}


def matching_masters(
    identity: FrameIdentity,
    masters: Sequence[MasterRef],
    max_age_days: float = MAX_AGE_DAYS,
    *,
    needs: Sequence[Role] = NEEDS,
    temperature_tolerance_c: float = TEMPERATURE_TOLERANCE_C,
) -> Matches:
    """Choose the masters for a frame: certified ones for its night first, then the nearest in time, before or after.

    All must share instrument, readout and detector; flats and fringes also filter and mode, and the slit in
    spectroscopy; biases, darks and bad pixels the temperature, where both are known. For images a sky flat counts as
    three days nearer than a dome flat. A master that was certified for other nights only, or was withdrawn, does not
    count; a certified one may be of any age.

    A bias needs nothing, a dark a bias, flats a bias and (where `needs` has it) a dark, everything else what `needs`
    says. Fringes and bad pixels are used where there are any and never missing.
    """
    roles = roles_for(identity, needs)
    best: dict[Role, tuple[tuple[bool, float, str, str], MasterRef]] = {}
    for ref in masters:
        role = ROLES[ref.key.kind]
        if role in roles and not obstacle(ref, identity, max_age_days, temperature_tolerance_c):
            place = rank(ref, identity)
            if role not in best or place < best[role][0]:
                best[role] = (place, ref)
    chosen = {role: best[role][1] for role in roles if role in best}
    return Matches(chosen, tuple(role for role in roles if role not in chosen and role not in _OPTIONAL))


def roles_for(identity: FrameIdentity, needs: Sequence[Role] = NEEDS) -> tuple[Role, ...]:
    """Roles of the masters that a frame of this obstype is calibrated with, in the order of ROLES."""
    kind = OF_OBSTYPE.get(identity.obstype)
    if kind == "bias":
        return ()
    if kind == "dark":
        return ("bias",)
    if kind is not None:
        return ("bias", "dark") if "dark" in needs else ("bias",)
    return tuple(role for role in dict.fromkeys(ROLES.values()) if role in needs)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that was looked at for a frame: chosen or not, and why."""

    role: Role
    ref: MasterRef
    chosen: bool
    reason: str
    wanted: bool = True  # the frame is calibrated with such a master at all

    def record(self) -> dict[str, object]:
        """JSON record."""
        return {
            "role": self.role,
            "kind": self.ref.key.kind,
            "master": self.ref.path,
            "sha256": self.ref.sha256,
            "chosen": self.chosen,
            "reason": self.reason,
        }

    def line(self) -> str:
        """One line for a person."""
        return f"{'chosen' if self.chosen else 'not':6} {self.ref.key.kind:9} {self.ref.path}: {self.reason}"


def explain(
    identity: FrameIdentity,
    masters: Sequence[MasterRef],
    max_age_days: float = MAX_AGE_DAYS,
    *,
    needs: Sequence[Role] = NEEDS,
    temperature_tolerance_c: float = TEMPERATURE_TOLERANCE_C,
) -> tuple[Candidate, ...]:
    """Say of every master of the frame's instrument why `matching_masters` chooses it or not.

    By role, the chosen one first, then those that were possible from the best to the worst, then the others by path.
    """
    made = matching_masters(
        identity, masters, max_age_days, needs=needs, temperature_tolerance_c=temperature_tolerance_c
    )
    wanted = roles_for(identity, needs)
    found: list[tuple[tuple[int, bool, tuple[bool, float, str, str]], Candidate]] = []
    for ref in masters:
        if ref.key.instrument != identity.instrument:
            continue
        role = ROLES[ref.key.kind]
        best = made.chosen.get(role)
        why = obstacle(ref, identity, max_age_days, temperature_tolerance_c)
        if role not in wanted:
            why = f"a {identity.obstype} frame is reduced without a {role}"
        words = why or (_praise(ref, identity) if ref == best else _beaten(ref, best, identity))
        place = (list(ROLES.values()).index(role), bool(why), (False, 0.0, ref.path, ref.sha256))
        if not why:
            place = (place[0], False, rank(ref, identity))
        found.append((place, Candidate(role, ref, ref == best, words, role in wanted)))
    return tuple(candidate for _, candidate in sorted(found, key=lambda item: item[0]))


def _praise(ref: MasterRef, identity: FrameIdentity) -> str:
    days = f"{days_apart(ref, identity):.1f} days away"
    if ref.certified_for(identity.night):
        spans = ", ".join(str(validity) for validity in ref.validity if validity.covers(identity.night))
        return f"certified for {spans}, {days}"
    return f"the nearest in time, {days}"


def _beaten(ref: MasterRef, best: MasterRef | None, identity: FrameIdentity) -> str:
    assert best is not None  # this one was possible
    if best.certified_for(identity.night) and not ref.certified_for(identity.night):
        return f"not certified for {identity.night}, another is"
    own, chosen = days_apart(ref, identity), days_apart(best, identity)
    words = f"{own:.1f} days away, the chosen one {chosen:.1f}"
    if own == chosen and ref.key.kind == best.key.kind:
        return f"as near in time as {best.path}, which comes first by name"
    if {ref.key.kind == "flat", best.key.kind == "flat"} == {True, False} and identity.mode == "imaging":
        words += f" (a dome flat counts as {DOME_PENALTY_DAYS:g} days farther)"
    return words
