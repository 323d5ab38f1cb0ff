"""A night, exposure after exposure, as files on the camera's disk."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from processors.simulator.camera import Camera, build_camera
from processors.simulator.explog import ExposureLog
from processors.simulator.headers import iso
from processors.simulator.housekeeping import Housekeeping
from processors.simulator.options import BadOptions, NightOptions
from processors.simulator.plan import PlannedExposure, plan_night
from processors.simulator.render import RenderedExposure, RenderedFile, Rows, render
from processors.simulator.truth import exposure_truth, night_truth, write_truth


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """A file that is on the disk: `identity` has the keys of `nightferry identify`, `truth` all that went in."""

    path: Path
    size: int
    sha256: str
    planned: PlannedExposure
    identity: dict[str, Any]
    truth: dict[str, Any]


def simulate_night(
    out: Path,
    options: NightOptions,
    *,
    truth: Path | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    write: Literal["atomic", "plain"] = "atomic",
    between_hdus: Callable[[], None] | None = None,
) -> Iterator[SimulatedFrame]:
    """Simulate a night into `out`, yielding each frame as soon as it is on the disk.

    Frames go into `out` itself, housekeeping and the exposure log into `out/hk`, growing with the exposures. The caller
    sets the pace: nothing is written between two steps of the iterator. `truth.json` and `truth_stars.fits` are written
    after the last frame, where `truth` is given; keep them out of a watched directory, as the second is a FITS file.

    Parameters
    ----------
    jobs : int
        Processes that simulate; with 1 it happens in this one. The bytes do not depend on it.
    overwrite : bool
        Replace frames that are there already.
    write : {"atomic", "plain"}
        Temporary name and rename, or open, write HDU by HDU, and close under the final name, as cameras do.
    between_hdus : callable, optional
        With "plain": called after each HDU but the last, the file flushed and open, to make a slow writer.

    Raises
    ------
    BadOptions
        The night cannot be planned, or a frame is there already.
    OSError
        Disk full, no permission, …
    """
    camera, plan = build_camera(options), plan_night(options)
    out.mkdir(parents=True, exist_ok=True)
    if not overwrite:
        _refuse_clash(out, options, plan)
    journal = _Journal(out / "hk", options, camera, plan) if options.hk else None
    entries: list[dict[str, Any]] = []
    stars: list[Rows] = []
    cosmics: list[Rows] = []
    for planned, rendered in zip(plan, _render_all(options, len(plan), jobs), strict=True):
        if journal is not None:
            journal.before(planned)
        for file in rendered.files:
            frame = _put(out, options, planned, file, write, between_hdus)
            if journal is not None and file is rendered.files[-1]:
                journal.after(planned, [f.name for f in rendered.files])
            entries.append(frame.truth)
            yield frame
        stars += rendered.stars
        cosmics += rendered.cosmics
    if journal is not None:
        journal.finish()
    if truth is not None:
        write_truth(truth, night_truth(options, camera, entries), stars, cosmics)


class _Journal:
    """Housekeeping and the exposure log, which grow with the night."""

    def __init__(self, directory: Path, options: NightOptions, camera: Camera, plan: Sequence[PlannedExposure]) -> None:
        self._housekeeping = Housekeeping(directory, options, plan)
        self._log = ExposureLog(directory, options, camera)

    def before(self, planned: PlannedExposure) -> None:
        """Housekeeping up to the end of an exposure whose files come next."""
        self._housekeeping.advance(planned.end)

    def after(self, planned: PlannedExposure, files: Sequence[str]) -> None:
        """The exposure's rows in the log, once its files are on the disk."""
        self._log.append(planned, files)

    def finish(self) -> None:
        """The rest of the night's housekeeping."""
        self._housekeeping.finish()


def _refuse_clash(out: Path, options: NightOptions, plan: Sequence[PlannedExposure]) -> None:
    there = {path.name for path in out.glob(f"{options.instrument}_*.fits")}
    for planned in plan:
        stem = f"{options.instrument}_{planned.expid:08d}"
        clash = next((name for name in there if name.startswith((f"{stem}.", f"{stem}_"))), None)
        if clash is not None:
            raise BadOptions(f"{out / clash} is there already: choose another directory, or ask to overwrite")


def _render_all(options: NightOptions, count: int, jobs: int) -> Iterator[RenderedExposure]:
    """Every exposure in order; never more than a few ahead of the one that is asked for."""
    if jobs <= 1:
        for index in range(count):
            yield render(options, index)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, count), mp_context=context) as pool:
        ahead: deque[Future[RenderedExposure]] = deque()
        try:
            for index in range(count):
                ahead.append(pool.submit(render, options, index))
                if len(ahead) > jobs:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _put(
    out: Path,
    options: NightOptions,
    planned: PlannedExposure,
    file: RenderedFile,
    write: str,
    between_hdus: Callable[[], None] | None,
) -> SimulatedFrame:
    path = out / file.name
    target = path if write == "plain" else path.with_name(f".{path.name}.part")
    digest = hashlib.sha256()
    try:
        with target.open("wb") as stream:
            for number, hdu in enumerate(file.hdus):
                if number and between_hdus is not None and write == "plain":
                    stream.flush()
                    between_hdus()
                stream.write(hdu)
                digest.update(hdu)
        target.replace(path)
    finally:
        if target != path:
            target.unlink(missing_ok=True)
    size = sum(len(hdu) for hdu in file.hdus)
    identity = _identity(options, planned, file)
    record = {"file": file.name, "size": size, "sha256": digest.hexdigest(), "identity": identity}
    record |= {"exposure": exposure_truth(planned), "detectors": list(file.truth)}
    return SimulatedFrame(path, size, digest.hexdigest(), planned, identity, record)


def _identity(options: NightOptions, planned: PlannedExposure, file: RenderedFile) -> dict[str, Any]:
    return {
        "instrument": options.instrument,
        "night": options.night,
        "expid": planned.expid,
        "detectors": [str(number) for number in file.detectors],
        "obstype": planned.obstype,
        "exptime_s": planned.exptime_s,
        "filter": planned.band or "",
        "object": planned.object,
        "date_obs": iso(planned.start),
        "sequence": {"id": planned.sequence, "num": planned.num, "total": planned.total},
    }
