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
from processors.simulator.faults import record_of
from processors.simulator.frame_faults import FilePlan, Pause, file_plan, without_missing
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
    pause: Pause | None = None,
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
    pause : callable, optional
        Waits so many seconds, for the fault `slow`.

    Raises
    ------
    BadOptions
        The night cannot be planned, or a frame is there already.
    OSError
        Disk full, no permission, …
    """
    camera, plan = build_camera(options), plan_night(options)
    journal = _Journal(out / "hk", options, camera, plan) if options.hk else None
    if not overwrite:
        _refuse_clash(out, options, plan)
    out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    stars: list[Rows] = []
    cosmics: list[Rows] = []
    for planned, rendered in zip(plan, _render_all(options, len(plan), jobs), strict=True):
        if journal is not None:
            journal.before(planned)
        files = without_missing(rendered, planned.faults).files
        for file in files:
            frame = _put(out, options, planned, file, write, between_hdus, pause)
            if journal is not None and file is files[-1]:
                journal.after(planned, [f.name for f in files])
            entries.append(frame.truth)
            yield frame
        stars += rendered.stars
        cosmics += rendered.cosmics
    if journal is not None:
        journal.finish()
    if truth is not None:
        faults = [*(journal.faults if journal is not None else ()), *_frame_faults(plan)]
        write_truth(truth, night_truth(options, camera, entries, faults), stars, cosmics)


class _Journal:
    """Housekeeping and the exposure log, which grow with the night."""

    def __init__(self, directory: Path, options: NightOptions, camera: Camera, plan: Sequence[PlannedExposure]) -> None:
        self._housekeeping = Housekeeping(directory, options, plan)
        self._log = ExposureLog(directory, options, camera)
        self.faults = self._housekeeping.faults

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


def _frame_faults(plan: Sequence[PlannedExposure]) -> list[dict[str, Any]]:
    """Faults of frames: they begin when the detectors are read, and are over with the file."""
    return [
        record_of(fault, expid=planned.expid, exposure=fault.exposure, began=iso(planned.end), ended=iso(planned.end))
        for planned in plan
        for fault in planned.faults
    ]


def _put(
    out: Path,
    options: NightOptions,
    planned: PlannedExposure,
    file: RenderedFile,
    write: str,
    between_hdus: Callable[[], None] | None,
    pause: Pause | None,
) -> SimulatedFrame:
    path, how = out / file.name, file_plan(file, planned.faults)
    content = b"".join(file.hdus)[: how.bytes_kept]
    plain = write == "plain" or how.pause_s > 0  # nobody waits in the middle of a file that appears whole
    _write(path, file, content, plain, between_hdus if write == "plain" else None, how, pause)
    if how.twin is not None:
        (out / how.twin).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    identity = _identity(options, planned, file)
    record: dict[str, Any] = {"file": file.name, "size": len(content), "sha256": digest, "identity": identity}
    record |= {"exposure": exposure_truth(planned), "detectors": list(file.truth)}
    if how.twin is not None:
        record["twin"] = how.twin
    return SimulatedFrame(path, len(content), digest, planned, identity, record)


def _write(
    path: Path,
    file: RenderedFile,
    content: bytes,
    plain: bool,
    between_hdus: Callable[[], None] | None,
    how: FilePlan,
    pause: Pause | None,
) -> None:
    target = path if plain else path.with_name(f".{path.name}.part")
    ends = {sum(len(hdu) for hdu in file.hdus[:number]): between_hdus for number in range(1, len(file.hdus))}
    stops = {end: call for end, call in ends.items() if call is not None}
    if how.pause_s and pause is not None:
        stops[len(content) // 2] = lambda: pause(how.pause_s)
    try:
        with target.open("wb") as stream:
            done = 0
            for end in sorted(end for end in stops if 0 < end < len(content)):
                stream.write(memoryview(content)[done:end])
                stream.flush()
                stops[end]()
                done = end
            stream.write(memoryview(content)[done:])
        target.replace(path)
    finally:
        if target != path:
            target.unlink(missing_ok=True)


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
