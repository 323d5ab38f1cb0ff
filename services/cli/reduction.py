"""What `nightferry reduce` does, step by step: masters first, then every frame with the masters that suit it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.associate import REDUCED, CalibrationKey, MasterRef, calibration_groups, matching_masters
from processors.check_frame import open_frame
from processors.errors import BadFrame, ProcessorError
from processors.fits import Frame
from processors.header import read_headers
from processors.instrument import Instruments
from processors.masters import Master, build_master, read_master
from processors.preview import write_preview
from processors.provenance import InputRef, Rejection
from processors.reduce_frame import reduce_frame
from services.cli.common import one_line

_BUILT = frozenset({"bias", "flat", "skyflat"})


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be used."""

    file: str
    error: str


@dataclass(frozen=True, slots=True)
class Product:
    """A product that was written."""

    path: Path
    kind: str
    instrument: str
    night: str
    filter: str
    detectors: tuple[str, ...]
    inputs: tuple[InputRef, ...]
    rejected: tuple[Rejection, ...]
    flags: tuple[str, ...]
    preview: Path | None

    def record(self) -> dict[str, Any]:
        """JSON record of the product."""
        frames = [given.name for given in self.inputs if given.role == "frame"]
        return {
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

    def line(self) -> str:
        """One line for a person."""
        frames = [given.name for given in self.inputs if given.role == "frame"]
        what = frames[0] if self.kind == "reduced" else f"{len(frames)} frames"
        used = ", ".join(f"{given.role} {given.name}" for given in self.inputs if given.role != "frame")
        parts = [f"{self.kind:8} {self.path.name}  from {what}"]
        parts += [f"with {used}"] if used else []
        parts += [f"flags {' '.join(self.flags)}"] if self.flags else []
        parts += [f"left out {left_out.name} ({left_out.reason})" for left_out in self.rejected]
        return "  ".join(parts)


class Reduction:
    """One run of the command."""

    def __init__(self, instruments: Instruments, output: Path, max_age_days: float, previews: bool) -> None:
        self._instruments = instruments
        self._output = output
        self._max_age_days = max_age_days
        self._previews = previews
        self._software = f"nightferry {importlib.metadata.version('nightferry')}"
        self._masters: list[Master] = []

    def steps(self, files: Sequence[Path]) -> Iterator[Product | Failure]:
        """Do all of it, and yield each product or failure as it comes."""
        frames: dict[tuple[str, str, int, tuple[str, ...]], Frame] = {}
        for path in files:
            try:
                self._open(path, frames)
            except (ProcessorError, OSError) as error:
                yield Failure(str(path), one_line(error))
        for key, group in calibration_groups((frame, frame.identity) for frame in frames.values()).items():
            if key.kind in _BUILT:
                yield self._master(key, group)
        for frame in frames.values():
            if frame.identity.obstype in REDUCED:
                yield self._reduce(frame)

    def _open(self, path: Path, frames: dict[tuple[str, str, int, tuple[str, ...]], Frame]) -> None:
        kind = read_headers(path)[0].get("NFKIND")
        if kind is None:
            frame = open_frame(path, self._instruments)
            one = frame.identity
            twin = frames.setdefault((one.instrument, one.night, one.expid, one.detectors), frame)
            if twin is not frame:
                raise BadFrame(f"the same exposure as {twin.path}")
        elif kind in _BUILT:
            self._masters.append(read_master(path))

    def _master(self, key: CalibrationKey, group: Sequence[Frame]) -> Product | Failure:
        first = group[0]
        bias = None if key.kind == "bias" else self._chosen(self._matches(first).bias)
        words = ["master", key.kind, key.instrument, key.night, key.filter, key.slit, key.detector, key.readout]
        path = self._output / f"{_name(words)}.fits"
        try:
            master = build_master(key.kind, group, path, bias, software=self._software)  # type: ignore[arg-type]
            preview = self._preview(path)
        except (ProcessorError, OSError) as error:
            return Failure(str(first.path), f"no master {key.kind} of its group: {one_line(error)}")
        self._masters = [known for known in self._masters if known.path != path]
        self._masters.append(master)
        flags = ("NOBIAS",) if key.kind != "bias" and bias is None else ()
        return Product(
            path, key.kind, key.instrument, key.night, key.filter, master.detectors, master.inputs, master.rejected,
            flags, preview,
        )  # fmt: skip

    def _reduce(self, frame: Frame) -> Product | Failure:
        identity = frame.identity
        matches = self._matches(frame)
        words = ["reduced", identity.instrument, identity.night, str(identity.expid)]
        if len(identity.detectors) == 1 and identity.expected_detectors > 1:
            words.append(identity.detectors[0])
        path = self._output / f"{_name(words)}.fits"
        try:
            bias, flat = self._chosen(matches.bias), self._chosen(matches.flat)
            made = reduce_frame(frame, path, bias, flat, software=self._software)
            preview = self._preview(path)
        except (ProcessorError, OSError) as error:
            return Failure(str(frame.path), one_line(error))
        return Product(
            path, "reduced", identity.instrument, identity.night, identity.filter, made.detectors, made.inputs, (),
            made.flags, preview,
        )  # fmt: skip

    def _matches(self, frame: Frame) -> Any:
        return matching_masters(frame.identity, [master.ref for master in self._masters], self._max_age_days)

    def _chosen(self, ref: MasterRef | None) -> Master | None:
        return next((master for master in self._masters if ref is not None and str(master.path) == ref.path), None)

    def _preview(self, product: Path) -> Path | None:
        if not self._previews:
            return None
        path = product.with_suffix(".png")
        write_preview(product, path)
        return path


def _name(words: Sequence[str]) -> str:
    safe = ["".join(c if c.isalnum() or c in "-." else "-" for c in word) for word in words if word]
    return "_".join(safe)
