"""Which calibration frames belong together, and which master suits a frame: pure decisions on identities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeVar

from processors.identity import FrameIdentity

Kind = Literal["bias", "dark", "flat", "skyflat"]
T = TypeVar("T")

REDUCED: Final = frozenset({"science", "standard"})  # obstypes of which products are made
_KINDS: Final[dict[str, Kind]] = {"bias": "bias", "dark": "dark", "flat": "flat", "skyflat": "skyflat"}
# A sky flat has the sky's illumination, a dome flat has not; but dust moves: a dome flat this much nearer in time wins.
_DOME_PENALTY_DAYS: Final = 3.0


@dataclass(frozen=True, slots=True, order=True)
class CalibrationKey:
    """What frames of one master have in common.

    `filter`, `mode` and `slit` are empty for biases and darks. `detector` is empty for files that hold several.
    """

    kind: Kind
    instrument: str
    night: str
    readout: str
    filter: str = ""
    mode: str = ""
    slit: str = ""
    detector: str = ""


@dataclass(frozen=True, slots=True)
class MasterRef:
    """A master that is available: its key, the middle of its inputs' times (ISO, UTC), its file."""

    key: CalibrationKey
    date_obs: str
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Matches:
    """The masters for a frame, and the kinds that it needs and nobody has."""

    bias: MasterRef | None
    flat: MasterRef | None
    missing: tuple[Literal["bias", "flat"], ...]


def calibration_key(identity: FrameIdentity) -> CalibrationKey | None:
    """Key of the master that a calibration frame is for; None for every other frame."""
    kind = _KINDS.get(identity.obstype)
    if kind is None:
        return None
    lit = kind in {"flat", "skyflat"}
    return CalibrationKey(
        kind=kind,
        instrument=identity.instrument,
        night=identity.night,
        readout=identity.readout,
        filter=identity.filter if lit else "",
        mode=identity.mode if lit else "",
        slit=identity.slit if lit and identity.mode == "spectroscopy" else "",
        detector=_detector(identity),
    )


def calibration_groups(frames: Iterable[tuple[T, FrameIdentity]]) -> dict[CalibrationKey, tuple[T, ...]]:
    """Frames of each master, in order of time; biases come first, as flats need them."""
    groups: dict[CalibrationKey, list[tuple[str, int, T]]] = {}
    for number, (frame, identity) in enumerate(frames):
        key = calibration_key(identity)
        if key is not None:
            groups.setdefault(key, []).append((identity.date_obs, number, frame))
    return {key: tuple(frame for _, _, frame in sorted(groups[key], key=lambda g: g[:2])) for key in sorted(groups)}


def matching_masters(identity: FrameIdentity, masters: Sequence[MasterRef], max_age_days: float = 30.0) -> Matches:
    """Choose the nearest suitable masters in time, before or after the frame.

    A bias must share instrument, readout and detector; a flat also filter and mode, and the slit in spectroscopy. For
    images a sky flat counts as three days nearer than a dome flat. A bias needs nothing, darks and flats need a bias,
    everything else a bias and a flat.
    """
    if identity.obstype == "bias":
        return Matches(None, None, ())
    suitable = [ref for ref in masters if _suits(ref.key, identity) and _days(ref, identity) <= max_age_days]
    bias = _nearest([ref for ref in suitable if ref.key.kind == "bias"], identity)
    if identity.obstype in _KINDS:
        return Matches(bias, None, () if bias else ("bias",))
    flat = _nearest([ref for ref in suitable if ref.key.kind in {"flat", "skyflat"}], identity)
    missing: list[Literal["bias", "flat"]] = []
    if bias is None:
        missing.append("bias")
    if flat is None:
        missing.append("flat")
    return Matches(bias, flat, tuple(missing))


def _detector(identity: FrameIdentity) -> str:
    return identity.detectors[0] if len(identity.detectors) == 1 else ""


def _suits(key: CalibrationKey, identity: FrameIdentity) -> bool:
    if (key.instrument, key.readout) != (identity.instrument, identity.readout):
        return False
    if key.detector not in {"", _detector(identity)}:
        return False
    if key.kind not in {"flat", "skyflat"}:
        return True
    slit = identity.slit if identity.mode == "spectroscopy" else ""
    return (key.filter, key.mode, key.slit) == (identity.filter, identity.mode, slit)


def _days(ref: MasterRef, identity: FrameIdentity) -> float:
    return abs((_instant(ref.date_obs) - _instant(identity.date_obs)).total_seconds()) / 86400.0


@lru_cache(maxsize=65536)
def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)  # cached: every frame is compared with every master


def _nearest(refs: Sequence[MasterRef], identity: FrameIdentity) -> MasterRef | None:
    def distance(ref: MasterRef) -> tuple[float, str]:
        dome = ref.key.kind == "flat" and identity.mode == "imaging"
        return _days(ref, identity) + (_DOME_PENALTY_DAYS if dome else 0.0), ref.path

    return min(refs, key=distance, default=None)
