"""What a master is known by: its kind and key, the file that holds it, and what a person has said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from processors.identity import FrameIdentity

Kind = Literal["bias", "dark", "flat", "skyflat", "superflat", "fringe", "badpix"]
Role = Literal["bias", "dark", "flat", "fringe", "badpix"]  # as what a master is used: every kind of flat is a `flat`

ROLES: Final[Mapping[Kind, Role]] = {
    "bias": "bias",
    "dark": "dark",
    "flat": "flat",
    "skyflat": "flat",
    "superflat": "flat",
    "fringe": "fringe",
    "badpix": "badpix",
}
OF_OBSTYPE: Final[dict[str, Kind]] = {"bias": "bias", "dark": "dark", "flat": "flat", "skyflat": "skyflat"}
LIT: Final = frozenset({"flat", "skyflat", "superflat", "fringe"})


@dataclass(frozen=True, slots=True, order=True)
class CalibrationKey:
    """What frames of one master have in common.

    `filter`, `mode` and `slit` are empty for biases, darks and bad pixels. `detector` is empty for files that hold
    several.
    """

    kind: Kind
    instrument: str
    night: str
    readout: str
    filter: str = ""
    mode: str = ""
    slit: str = ""
    detector: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Validity:
    """Nights (YYYYMMDD, both included) for which a person has certified a master; `last` is empty for an open end.

    A `copied` one lends the master to a night. Any other one also says that the master is valid in no other night.
    """

    first: str
    last: str = ""
    copied: bool = False

    def covers(self, night: str) -> bool:
        """Whether a night is among these."""
        return self.first <= night and (not self.last or night <= self.last)

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}..{self.last}"


@dataclass(frozen=True, slots=True)
class MasterRef:
    """A master that is available: its key, the middle of its inputs' times (ISO, UTC), its file, what was said of it.

    `temperature_c` is the detector's while the inputs were taken, None where nobody knows. `withdrawn` ones are not to
    be used any more.
    """

    key: CalibrationKey
    date_obs: str
    path: str = ""
    sha256: str = ""
    validity: tuple[Validity, ...] = ()
    temperature_c: float | None = None
    withdrawn: bool = False

    def certified_for(self, night: str) -> bool:
        """Whether a person has certified it for a night."""
        return any(validity.covers(night) for validity in self.validity)


def calibration_key(identity: FrameIdentity) -> CalibrationKey | None:
    """Key of the master that a calibration frame is for; None for every other frame."""
    kind = OF_OBSTYPE.get(identity.obstype)
    return None if kind is None else key_of(kind, identity)


def key_of(kind: Kind, identity: FrameIdentity) -> CalibrationKey:
    """Key of a master of this kind that is made from frames such as this one."""
    lit = kind in LIT
    return CalibrationKey(
        kind=kind,
        instrument=identity.instrument,
        night=identity.night,
        readout=identity.readout,
        filter=identity.filter if lit else "",
        mode=identity.mode if lit else "",
        slit=slit_of(identity) if lit else "",
        detector=detector_of(identity),
    )


def detector_of(identity: FrameIdentity) -> str:
    """The detector of a file that holds one only, else empty."""
    return identity.detectors[0] if len(identity.detectors) == 1 else ""


def slit_of(identity: FrameIdentity) -> str:
    """The slit of a spectrum; empty for images."""
    return identity.slit if identity.mode == "spectroscopy" else ""
