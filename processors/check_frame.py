"""All checks of a frame, or of a sequence of frames."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from processors.checks.drift import WATCHED, History, check_drift
from processors.checks.registry import DETECTOR_CHECKS, FRAME_CHECKS, SEQUENCE_CHECKS, Check
from processors.checks.result import CheckResult
from processors.checks.view import POOR, DetectorView
from processors.errors import ProcessorError
from processors.fits import Frame, read_frame
from processors.geometry import DetectorSetup
from processors.header import read_headers
from processors.instrument import Instruments
from processors.isr.plane_pool import PlanePool
from processors.masters.file import Master
from processors.ordered import in_order

T = TypeVar("T")
FAILED: Final = "CHECKFAILED"  # flag of a check that broke: a defect of ours, the others go on
# what a check may break of; a lack of memory, a disk that fails and the end of a task's time are no matter of the check
_BROKEN: Final = (
    ProcessorError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
)  # fmt: skip


def open_frame(path: Path | str, instruments: Instruments) -> Frame:
    """Read a frame's headers, identify it and resolve its amplifiers (BadFrame, UnknownInstrument)."""
    path = Path(path)
    headers = read_headers(path)
    identity = instruments.identify(headers, path.name)
    return read_frame(path, instruments.named(identity.instrument), headers, identity)


def check_frame(path: Path | str, instruments: Instruments) -> tuple[CheckResult, ...]:
    """Run every check of a single frame, in the registry's order, detector by detector.

    Raises
    ------
    UnknownInstrument
        No instrument file recognises it.
    BadFrame
        The frame cannot be read, or a card that identity or geometry needs is missing or impossible.
    """
    return check_open_frame(open_frame(path, instruments))


def check_open_frame(
    frame: Frame,
    masters: Mapping[str, Master] | None = None,
    history: History | None = None,
    only: Collection[str] = (),
    threads: int = 1,
) -> tuple[CheckResult, ...]:
    """The same for a frame that is open already.

    Parameters
    ----------
    masters : the last good masters for it, by role
    history : values of earlier frames of its kind, for `drift` (`check_drift`)
    only : names of checks; the others are left out
    threads : detectors at once; the results do not depend on it
    """
    # drift has no values of its own: with it go the checks whose values it follows
    needed = {*only, *WATCHED} if "drift" in only else only
    results = [result for check in _some(FRAME_CHECKS, needed) for result in _run(check, frame, frame)]
    wanted = _some(DETECTOR_CHECKS, needed)
    pool = PlanePool()

    def checked(setup: DetectorSetup) -> list[CheckResult]:
        planes = pool.take(setup)
        view = DetectorView(frame, setup, frame.image(setup), masters or {}, planes)
        found = [result for check in wanted for result in _run(check, view, frame, setup.detector)]
        pool.give_back(planes)
        return found

    for found in in_order(checked, frame.setups if wanted else (), threads):
        results += found
    kept = [result for result in results if not only or result.check in only]
    if history and (not only or "drift" in only):
        kept += check_drift(frame, results, history)
    return tuple(kept)


def check_sequence(frames: Sequence[Frame], only: Collection[str] = ()) -> tuple[CheckResult, ...]:
    """Checks that need several frames: read noise from pairs of biases, gain from pairs of flats (BadFrame)."""
    return tuple(result for check in _some(SEQUENCE_CHECKS, only) for result in check.run(frames))


def _some(checks: Iterable[Check[T]], only: Collection[str]) -> list[Check[T]]:
    return [check for check in checks if not only or set(check.names) & set(only)]


def _run(check: Check[T], given: T, frame: Frame, detector: str = "") -> Iterator[CheckResult]:
    """Results of one check; whatever it raises is its result, and the other checks are done all the same."""
    try:
        yield from check.run(given)
    except _BROKEN as error:
        known = isinstance(error, ProcessorError)
        message = " ".join(str(error).split()) if known else f"defect: {type(error).__name__}: {error}"
        yield CheckResult(
            str(frame.path),
            check.names[0],
            detector,
            "",
            math.nan,
            "",
            "error",
            POOR if known else FAILED,
            None,
            message,
        )
