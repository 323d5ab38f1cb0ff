"""All checks of a frame, or of a sequence of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from processors.checks.registry import DETECTOR_CHECKS, FRAME_CHECKS, SEQUENCE_CHECKS
from processors.checks.result import CheckResult
from processors.checks.view import DetectorView
from processors.fits import Frame, read_frame
from processors.header import read_headers
from processors.instrument import Instruments


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


def check_open_frame(frame: Frame) -> tuple[CheckResult, ...]:
    """The same for a frame that is open already."""
    results = [result for check in FRAME_CHECKS for result in check(frame)]
    for setup in frame.setups:
        view = DetectorView(frame, setup, frame.image(setup))
        results += [result for check in DETECTOR_CHECKS for result in check(view)]
    return tuple(results)


def check_sequence(frames: Sequence[Frame]) -> tuple[CheckResult, ...]:
    """Checks that need several frames: read noise from pairs of biases, gain from pairs of flats (BadFrame)."""
    return tuple(result for check in SEQUENCE_CHECKS for result in check(frames))
