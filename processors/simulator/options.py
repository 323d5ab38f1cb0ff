"""What a simulated night is made of: the options a caller may choose, checked once."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from processors.errors import ProcessorError
from processors.simulator.faults import Fault, complaints_about
from processors.simulator.sky import BANDS

Layout = Literal["mosaic", "detectors"]
Scale = Literal["small", "full"]

SCALES: Final[dict[str, tuple[int, int]]] = {"small": (512, 1024), "full": (2048, 4096)}
MAX_EXPOSURES: Final = 999  # an exposure number holds three digits of running number within its night


class BadOptions(ProcessorError):
    """The night asked for cannot be simulated: ask for another one."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class NightOptions:
    """Everything a simulated night depends on: equal options give equal bytes, whenever and wherever they are run.

    Attributes
    ----------
    seed : int
        Decides the camera, the fields and the noise. The camera and the catalogue of a field depend on the seed alone,
        so that two nights with one seed come from one camera.
    night : str
        YYYYMMDD of the local noon at which the night begins.
    layout : {"mosaic", "detectors"}
        One file per exposure with an extension per detector, or one file per detector.
    detectors, width, height : int
        Number of detectors and their light-sensitive size in pixels, prescan and overscan not counted.
    biases, darks, flats, standards, dithers, targets : int
        Exposures: biases and darks in all, dome flats and standards per filter, dithers per target and filter.
    filters : tuple of str
        Bands of flats, standards and science, among g, r, i, z, Y.
    dark_s, flat_s, standard_s, science_s : float
        Exposure times in seconds.
    flat_level_e : float
        Mean signal of a dome flat, electrons per pixel.
    hk : bool
        Write housekeeping files and the exposure log.
    hk_every_s : int
        Seconds between two housekeeping rows.
    faults : tuple of Fault
        What goes wrong.
    """

    seed: int = 1
    night: str = "20260115"
    instrument: str = "simcam"
    layout: Layout = "mosaic"
    detectors: int = 4
    width: int = 512
    height: int = 1024
    biases: int = 8
    darks: int = 2
    flats: int = 4
    standards: int = 1
    dithers: int = 3
    targets: int = 2
    filters: tuple[str, ...] = ("g", "r")
    dark_s: float = 300.0
    flat_s: float = 8.0
    standard_s: float = 10.0
    science_s: float = 90.0
    flat_level_e: float = 48_000.0
    hk: bool = True
    hk_every_s: int = 10
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        complaints = "; ".join(self._complaints())
        if complaints:
            raise BadOptions(complaints)

    @property
    def date(self) -> dt.date:
        """The calendar day on whose local noon the night begins."""
        return dt.datetime.strptime(self.night, "%Y%m%d").date()

    @property
    def exposures(self) -> int:
        """Number of exposures in the night."""
        per_filter = self.flats + self.standards + self.targets * self.dithers
        return self.biases + self.darks + per_filter * len(self.filters)

    def _complaints(self) -> Iterator[str]:
        yield from _bad_night(self.night)
        if self.instrument != "simcam":
            yield f"instrument {self.instrument!r}: the simulator has only the camera 'simcam'"
        if self.layout not in ("mosaic", "detectors"):
            yield f"layout {self.layout!r}: expected 'mosaic' or 'detectors'"
        if self.seed < 0:
            yield f"seed {self.seed}: expected a whole number from 0"
        yield from self._bad_size()
        yield from self._bad_counts()
        yield from self._bad_faults()
        times = (self.dark_s, self.flat_s, self.standard_s, self.science_s, self.flat_level_e)
        if not all(0 < value < math.inf for value in times) or self.hk_every_s < 1:
            yield "exposure times, the flat level and the housekeeping period must be above zero"

    def _bad_size(self) -> Iterator[str]:
        if not 1 <= self.detectors <= 99:
            yield f"detectors {self.detectors}: expected 1 to 99"
        if not 64 <= self.width <= 16384 or self.width % 2:
            yield f"width {self.width}: expected an even number from 64 to 16384 (two amplifiers)"
        if not 64 <= self.height <= 16384:
            yield f"height {self.height}: expected 64 to 16384"

    def _bad_counts(self) -> Iterator[str]:
        counts = (self.biases, self.darks, self.flats, self.standards, self.dithers, self.targets)
        if min(counts) < 0 or not 1 <= self.exposures <= MAX_EXPOSURES:
            yield f"{self.exposures} exposures: expected counts from 0 and 1 to {MAX_EXPOSURES} exposures in all"
        if not set(self.filters) <= set(BANDS) or len(set(self.filters)) != len(self.filters):
            yield f"filters {','.join(self.filters)}: expected different ones among {', '.join(BANDS)}"

    def _bad_faults(self) -> Iterator[str]:
        for fault in self.faults:
            yield from complaints_about(fault)
            if fault.of_frames and fault.exposure > self.exposures:
                yield f"fault {fault.kind}: exposure {fault.exposure} of a night of {self.exposures}"
            if fault.kind == "missing" and (fault.detector > self.detectors or self.detectors == 1):
                yield f"fault missing: detector {fault.detector} of a camera of {self.detectors}"
            if not fault.of_frames and not self.hk:
                yield f"fault {fault.kind} needs housekeeping"


def _bad_night(night: str) -> Iterator[str]:
    try:
        year = dt.datetime.strptime(night, "%Y%m%d").year if len(night) == 8 else 0
    except ValueError:
        year = 0
    if not 2000 <= year <= 2099:
        yield f"night {night!r}: expected a calendar day of the years 2000 to 2099 as YYYYMMDD"
