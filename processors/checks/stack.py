"""Amplifiers of several frames of one kind, for checks of sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import CheckResult, scaled, verdict_of
from processors.fits import Frame
from processors.geometry import Amplifier, DetectorSetup
from processors.isr.signature import overscan_level
from processors.masters.associate import CalibrationKey, calibration_groups

_MOST: Final = 6  # frames of a run that are looked at: pairs enough, and a bound on memory


@dataclass(frozen=True, slots=True)
class AmplifierStack:
    """Data of one amplifier in several frames, overscan-subtracted, ADU, float32 (rows, columns) each."""

    frames: tuple[Frame, ...]
    detector: str
    amplifier: Amplifier
    images: tuple[NDArray[np.float32], ...]


def groups_of(frames: Sequence[Frame], kinds: frozenset[str]) -> Iterator[tuple[CalibrationKey, tuple[Frame, ...]]]:
    """Calibration groups of these kinds with at least two frames, of each the first six.

    An exposure that is given twice (the camera's disk and the archive) counts once: its copy has no noise of its own.
    """
    once = {(f.identity.instrument, f.identity.expid, f.identity.detectors): f for f in reversed(frames)}
    kept = [frame for frame in frames if any(frame is other for other in once.values())]
    for key, group in calibration_groups((frame, frame.identity) for frame in kept).items():
        if key.kind in kinds and len(group) >= 2:
            yield key, group[:_MOST]


def stacks(frames: Sequence[Frame]) -> Iterator[AmplifierStack]:
    """Every amplifier of the frames of one group, one at a time (BadFrame when one cannot be read)."""
    for setup in frames[0].setups:
        matching = [(frame, other) for frame in frames if (other := _setup(frame, setup.detector)) is not None]
        raws = [frame.image(other) for frame, other in matching]
        for number, amplifier in enumerate(setup.amplifiers):
            images = []
            for raw, (_, other) in zip(raws, matching, strict=True):
                own = other.amplifiers[number]
                level = overscan_level(raw, own, setup.detector)
                images.append(raw[own.data.slices].astype(np.float32) - level[:, None])
            yield AmplifierStack(tuple(f for f, _ in matching), setup.detector, amplifier, tuple(images))


def judge_stack(
    stack: AmplifierStack, check: str, value: float, unit: str, flag: str, scale: float, message: str
) -> CheckResult:
    """Result of a check on a sequence, filed under its first frame; the instrument file's limits are times `scale`."""
    first = stack.frames[0]
    verdict, limits = verdict_of(value, scaled(first.instrument.limit(check, first.identity), scale))
    return CheckResult(
        file=str(first.path),
        check=check,
        detector=stack.detector,
        amplifier=stack.amplifier.name,
        value=value,
        unit=unit,
        verdict=verdict,
        flag="" if verdict == "ok" else flag,
        limits=limits,
        message=message,
    )


def _setup(frame: Frame, detector: str) -> DetectorSetup | None:
    return next((setup for setup in frame.setups if setup.detector == detector), None)
