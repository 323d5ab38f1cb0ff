"""What faults do to the files of an exposure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from processors.simulator.faults import Fault
from processors.simulator.render import RenderedExposure, RenderedFile

Pause = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """How a file is written: the `bytes_kept` first ones (None: all), a pause in its middle, a second name."""

    bytes_kept: int | None = None
    pause_s: float = 0.0
    twin: str | None = None


def without_missing(exposure: RenderedExposure, faults: Sequence[Fault]) -> RenderedExposure:
    """The exposure without the detectors that are missing; a file that would hold none is not written."""
    gone = {fault.detector for fault in faults if fault.kind == "missing"}
    if not gone:
        return exposure
    files = (_without(file, gone) for file in exposure.files)
    return replace(exposure, files=tuple(file for file in files if file is not None))


def _without(file: RenderedFile, gone: set[int]) -> RenderedFile | None:
    left = [place for place, detector in enumerate(file.detectors) if detector not in gone]
    if len(left) == len(file.detectors):
        return file
    if not left:
        return None
    # A mosaic file: the primary HDU, then one per detector.
    return RenderedFile(
        file.name,
        tuple(file.detectors[place] for place in left),
        (file.hdus[0], *(file.hdus[1 + place] for place in left)),
        tuple(file.truth[place] for place in left),
    )


def file_plan(file: RenderedFile, faults: Sequence[Fault]) -> FilePlan:
    """How the file of an exposure with these faults is written."""
    size = sum(len(hdu) for hdu in file.hdus)
    plan = FilePlan()
    for fault in faults:
        if fault.kind == "cut":
            plan = replace(plan, bytes_kept=int(size * fault.keep))
        elif fault.kind == "slow":
            plan = replace(plan, pause_s=fault.lasts_s)
        elif fault.kind == "duplicate":
            plan = replace(plan, twin=f"{Path(file.name).stem}_copy.fits")
    return plan
