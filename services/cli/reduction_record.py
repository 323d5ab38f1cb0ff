"""What `nightferry reduce` says of each file: products and failures, for programs and for people."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from processors.masters.associate import Candidate
from processors.provenance import InputRef, Rejection
from processors.reduction.measures import Measures
from services.cli.common import plural

if TYPE_CHECKING:
    from processors.reduction.spectrum import SpectrumProduct

# what a line for people says: the figure, how it is written
_SAID: Final = {
    "seeing_arcsec": "seeing {:.2f} arcsec",
    "sky_e": "sky {:.0f} e-",
    "cosmics": "{:.0f} cosmic rays",
    "wcs_rms_arcsec": "WCS rms {:.2f} arcsec",
    "zero_point": "zero point {:.2f}",
    "limiting_mag": "limit {:.1f} mag",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be used."""

    file: str
    error: str

    def record(self) -> dict[str, Any]:
        """JSON record of it."""
        return {"file": self.file, "error": self.error}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file of which nothing is made, and that served for nothing."""

    file: str
    reason: str

    def record(self) -> dict[str, Any]:
        """JSON record of it."""
        return {"file": self.file, "ignored": self.reason}


@dataclass(frozen=True, slots=True)
class Product:
    """A product that was written; `candidates` are the masters that were looked at for it."""

    path: Path
    kind: str
    instrument: str
    night: str
    filter: str
    detectors: tuple[str, ...]
    inputs: tuple[InputRef, ...]
    flags: tuple[str, ...]
    preview: Path | None
    rejected: tuple[Rejection, ...] = ()
    measures: tuple[Measures, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def record(self, explained: bool = False) -> dict[str, Any]:
        """JSON record of the product."""
        frames = [given.name for given in self.inputs if given.role == "frame"]
        record: dict[str, Any] = {
            "product": str(self.path),
            "kind": self.kind,
            "instrument": self.instrument,
            "night": self.night,
            "filter": self.filter,
            "detectors": self.detectors,
            "inputs": frames,
            "calibrations": {given.role: given.name for given in self.inputs if given.role != "frame"},
            "sha256": {given.name: given.sha256 for given in self.inputs},
            "rejected": {left_out.name: left_out.reason for left_out in self.rejected},
            "flags": self.flags,
            "preview": None if self.preview is None else str(self.preview),
        }
        if self.measures:
            record["measures"] = [measures.record() for measures in self.measures]
        if explained:
            record["explain"] = [candidate.record() for candidate in self.candidates]
        return record

    def line(self) -> str:
        """One line for a person."""
        frames = [given.name for given in self.inputs if given.role == "frame"]
        what = frames[0] if self.kind == "reduced" else plural(len(frames), "frame")
        used = ", ".join(f"{given.role} {given.name}" for given in self.inputs if given.role != "frame")
        parts = [f"{self.kind:8} {self.path.name}  from {what}"]
        parts += [f"with {used}"] if used else []
        parts += [f"flags {' '.join(self.flags)}"] if self.flags else []
        parts += [f"left out {left_out.name} ({left_out.reason})" for left_out in self.rejected]
        parts += [", ".join(_said(self.measures))] if self.measures else []
        return "  ".join(part for part in parts if part)

    def why(self) -> list[str]:
        """Lines on the masters that were looked at, and on what could not be measured."""
        return [candidate.line() for candidate in self.candidates if candidate.wanted] + self.reasons()

    def reasons(self) -> list[str]:
        """Lines on what could not be measured, detectors with the same reason together."""
        of: dict[str, list[str]] = {}
        for each in self.measures:
            for reason in each.reasons:
                of.setdefault(reason, []).append(each.detector)
        return [f"{_detectors(detectors)}: {reason}" for reason, detectors in of.items()]


@dataclass(frozen=True, slots=True)
class Extracted:
    """A spectrum that was written, and what there is to say of its arc."""

    made: SpectrumProduct
    arc: str

    def record(self, explained: bool = False) -> dict[str, Any]:
        """JSON record of the spectrum."""
        record = {"product": str(self.made.path), "kind": "spectrum", **self.made.record()}
        return {**record, "explain": [{"role": "arc", "reason": self.arc}]} if explained else record

    def line(self) -> str:
        """One line for a person."""
        frame = next(given.name for given in self.made.inputs if given.role == "frame")
        used = ", ".join(f"{given.role} {given.name}" for given in self.made.inputs if given.role != "frame")
        parts = [f"spectrum {self.made.path.name}  from {frame}"]
        parts += [f"with {used}"] if used else []
        parts += [f"flags {' '.join(self.made.flags)}"] if self.made.flags else []
        said = [f"S/N {self.made.signal_to_noise:.1f}"]
        if self.made.wavelength_rms_a is not None:
            said.append(f"arc rms {self.made.wavelength_rms_a:.2f} Å of {self.made.lines} lines")
        return "  ".join([*parts, ", ".join(said)])

    def why(self) -> list[str]:
        """Lines on the arc, and on what could not be done."""
        return [f"arc {self.arc}", *self.made.reasons]

    def reasons(self) -> list[str]:
        """Lines on what could not be done."""
        return list(self.made.reasons)


def _detectors(names: list[str]) -> str:
    return f"detector{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _said(measures: tuple[Measures, ...]) -> list[str]:
    """Medians over the detectors of what is known."""
    said = []
    for name, form in _SAID.items():
        known = [each.numbers()[name] for each in measures if name in each.numbers()]
        if known:
            said.append(form.format(statistics.median(known)))
    return said
