"""What `nightferry reduce` does, step by step: masters first, then every frame with the masters that suit it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from processors.catalogue.reference import Reference
from processors.check_frame import open_frame
from processors.errors import BadCatalogue, BadFrame, ProcessorError
from processors.fits import Frame
from processors.geometry import with_gains
from processors.header import read_headers
from processors.instrument import Instruments
from processors.masters.associate import (
    NEEDS,
    REDUCED,
    ROLES,
    CalibrationKey,
    Candidate,
    Role,
    calibration_groups,
    explain,
)
from processors.masters.build import Master, build_master, read_master
from processors.ordered import in_order
from processors.preview import write_preview
from processors.reduction.frame import reduce_frame
from processors.reduction.inspect import Steps
from services.cli.common import one_line
from services.cli.gains import Gains
from services.cli.reduction_record import Extracted, Failure, PassedOver, Product

Result = Product | Extracted | Failure
_BUILT: Final = ("bias", "dark", "flat", "skyflat")  # from frames, in this order: one needs those before it


@dataclass(frozen=True, slots=True)
class Options:
    """What a run was asked for."""

    output: Path
    max_age_days: float
    previews: bool
    steps: Steps
    reference: Reference | None
    jobs: int
    gains: Gains = field(default_factory=dict)


class Reduction:
    """One run of the command."""

    def __init__(self, instruments: Instruments, options: Options) -> None:
        self._instruments = instruments
        self._options = options
        self._software = f"nightferry {importlib.metadata.version('nightferry')}"
        self._masters: list[Master] = []
        self._frames: dict[tuple[str, str, int, tuple[str, ...]], Frame] = {}
        self._products: list[PassedOver] = []

    def open(self, files: Iterable[Path]) -> Iterator[Failure]:
        """Look at the headers of all files, and yield those that are of no use."""
        for path in files:
            try:
                self._open(path)
            except (ProcessorError, OSError) as error:
                yield Failure(str(path), one_line(error))

    @property
    def total(self) -> int:
        """How many products there will be, failures counted."""
        return len(self._groups()) + len(self._science()) + sum(_is_slit(frame) for frame in self._science())

    def passed_over(self) -> list[PassedOver]:
        """Files that were opened and of which nothing is made: products, and frames of other kinds."""
        used = {frame.path for _, group in self._groups() for frame in group} | {f.path for f in self._science()}
        if any(_is_slit(frame) for frame in self._science()):
            used |= {frame.path for frame in self._frames.values() if frame.identity.obstype == "arc"}
        rest = [frame for frame in self._frames.values() if frame.path not in used]
        return self._products + [PassedOver(str(frame.path), _unused(frame)) for frame in rest]

    def steps(self) -> Iterator[Result]:
        """Make the masters and reduce the frames; yield each product or failure, in order."""
        for key, group in self._groups():
            yield self._master(key, group)
        frames, jobs = self._science(), self._options.jobs
        # several detectors of a mosaic at once, or several frames of one detector
        single = all(len(frame.setups) < jobs for frame in frames)
        at_once, threads = (jobs, 1) if single else (1, jobs)
        for results in in_order(lambda frame: self._reduce(frame, threads), frames, at_once):
            yield from results

    def _open(self, path: Path) -> None:
        kind = read_headers(path)[0].get("NFKIND")
        if kind is None:
            frame = self._with_gains(open_frame(path, self._instruments))
            one = frame.identity
            twin = self._frames.setdefault((one.instrument, one.night, one.expid, one.detectors), frame)
            if twin is not frame:
                raise BadFrame(f"the same exposure as {twin.path}")
        elif kind in ROLES:
            self._masters.append(read_master(path))
        else:
            self._products.append(PassedOver(str(path), f"a product of kind {kind}"))

    def _groups(self) -> list[tuple[CalibrationKey, tuple[Frame, ...]]]:
        groups = calibration_groups((frame, frame.identity) for frame in self._frames.values())
        built = [
            (key, group)
            for key, group in groups.items()
            if key.kind in _BUILT and (key.kind != "dark" or group[0].instrument.spec.needs_dark)
        ]
        return sorted(built, key=lambda item: _BUILT.index(item[0].kind))

    def _science(self) -> list[Frame]:
        return [frame for frame in self._frames.values() if frame.identity.obstype in REDUCED]

    def _master(self, key: CalibrationKey, group: Sequence[Frame]) -> Product | Failure:
        first = group[0]
        by_role, candidates = self._chosen(first)
        words = ["master", key.kind, key.instrument, key.night, key.filter, key.slit, key.detector, key.readout]
        path = self._options.output / f"{_name(words)}.fits"
        try:
            master = build_master(
                key.kind, group, path, by_role.get("bias"), dark=by_role.get("dark"),
                software=self._software, scratch=self._options.output, threads=self._options.jobs,
            )  # fmt: skip
            preview = self._preview(path)
        except (ProcessorError, OSError) as error:
            return Failure(str(first.path), f"no master {key.kind} of its group: {one_line(error)}")
        self._masters = [known for known in self._masters if known.path != path]
        self._masters.append(master)
        flags = ("NOBIAS",) if key.kind != "bias" and "bias" not in by_role else ()
        return Product(
            path, key.kind, key.instrument, key.night, key.filter, master.detectors, master.inputs, flags, preview,
            rejected=master.rejected, candidates=candidates,
        )  # fmt: skip

    def _reduce(self, frame: Frame, threads: int) -> list[Result]:
        """The reduced frame, and its spectrum where it is one."""
        by_role, candidates = self._chosen(frame)
        results: list[Result] = [self._image(frame, by_role, candidates, threads)]
        if _is_slit(frame):
            results.append(self._spectrum(frame, by_role))
        return results

    def _image(
        self, frame: Frame, by_role: dict[Role, Master], candidates: tuple[Candidate, ...], threads: int
    ) -> Product | Failure:
        identity, options = frame.identity, self._options
        path = self._path("reduced", frame)
        try:
            made = reduce_frame(
                frame, path, by_role.get("bias"), by_role.get("flat"), dark=by_role.get("dark"),
                fringe=by_role.get("fringe"), bad_pixels=by_role.get("badpix"), steps=options.steps,
                gains=self._gains(frame), reference=options.reference, threads=threads, software=self._software,
            )  # fmt: skip
            preview = self._preview(path)
        except BadCatalogue:
            raise  # no frame's fault, and the next one would say the same
        except (ProcessorError, OSError) as error:
            return Failure(str(frame.path), one_line(error))
        return Product(
            path, "reduced", identity.instrument, identity.night, identity.filter, made.detectors, made.inputs,
            made.flags, preview, measures=made.measures, candidates=candidates,
        )  # fmt: skip

    def _spectrum(self, frame: Frame, by_role: dict[Role, Master]) -> Extracted | Failure:
        from processors.reduction.spectrum import SlitExposure, spectrum_frame
        from processors.spectra.choose_arc import choose_arc

        arcs = [(other, other.identity) for other in self._frames.values()]
        choice = choose_arc(frame.identity, arcs, self._options.max_age_days)
        exposure = SlitExposure(
            frame, None if choice is None else choice.arc, by_role.get("bias"), by_role.get("flat"),
            by_role.get("badpix"),
        )  # fmt: skip
        try:
            made = spectrum_frame(exposure, self._path("spectrum", frame), software=self._software)
        except (ProcessorError, OSError) as error:
            return Failure(str(frame.path), f"no spectrum: {one_line(error)}")
        if choice is None:
            return Extracted(made, "not there: no arc of this grism and readout among the files")
        return Extracted(made, f"{choice.arc.path.name}: {choice.words}")

    def _gains(self, frame: Frame) -> dict[str, dict[str, float]]:
        """Measured gains of the frame's detectors, where there are any."""
        known = {
            setup.detector: self._options.gains.get((frame.instrument.name, setup.detector)) for setup in frame.setups
        }
        return {detector: gains for detector, gains in known.items() if gains}

    def _with_gains(self, frame: Frame) -> Frame:
        """The frame with measured gains, for masters too: a flat holds the ratio of its amplifiers' gains."""
        gains = self._gains(frame)
        return replace(frame, setups=tuple(with_gains(setup, gains.get(setup.detector, {})) for setup in frame.setups))

    def _path(self, kind: str, frame: Frame) -> Path:
        identity = frame.identity
        words = [kind, identity.instrument, identity.night, str(identity.expid)]
        if len(identity.detectors) == 1 and identity.expected_detectors > 1:
            words.append(identity.detectors[0])
        return self._options.output / f"{_name(words)}.fits"

    def _chosen(self, frame: Frame) -> tuple[dict[Role, Master], tuple[Candidate, ...]]:
        """The masters for a frame by role, and all that were looked at."""
        given = {ROLES[master.key.kind] for master in self._masters}
        needs: list[Role] = [*NEEDS]
        if "fringe" in given:
            needs.append("fringe")
        if "dark" in given or frame.instrument.spec.needs_dark:
            needs.append("dark")
        refs = [master.ref for master in self._masters]
        candidates = explain(frame.identity, refs, self._options.max_age_days, needs=needs)
        paths = {candidate.ref.path: candidate.role for candidate in candidates if candidate.chosen}
        return {paths[str(m.path)]: m for m in self._masters if str(m.path) in paths}, candidates

    def _preview(self, product: Path) -> Path | None:
        if not self._options.previews:
            return None
        path = product.with_suffix(".png")
        write_preview(product, path)
        return path


def _is_slit(frame: Frame) -> bool:
    """Whether a frame becomes a spectrum."""
    return frame.identity.mode == "spectroscopy" and frame.instrument.spectrograph(frame.headers) is not None


def _unused(frame: Frame) -> str:
    """Why a frame is not used."""
    obstype = frame.identity.obstype
    if obstype == "dark":
        return f"obstype dark, and {frame.instrument.name} is reduced without; `build-master dark` makes a master of it"
    return f"obstype {obstype}"


def _name(words: Sequence[str]) -> str:
    safe = ["".join(c if c.isalnum() or c in "-." else "-" for c in word) for word in words if word]
    return "_".join(safe)
