"""What a check of pixels is given: one detector of one frame, and a way to pronounce on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import CheckResult, Verdict, verdict_of
from processors.fits import Frame, Pixels
from processors.geometry import Amplifier, DetectorSetup


@dataclass(frozen=True, slots=True)
class DetectorView:
    """One detector of a frame with its raw pixels (rows, columns), ADU."""

    frame: Frame
    setup: DetectorSetup
    raw: Pixels

    def data(self, amplifier: Amplifier) -> NDArray[Any]:
        """Data section of an amplifier."""
        return self.raw[amplifier.data.slices]

    def overscan(self, amplifier: Amplifier) -> NDArray[Any] | None:
        """Overscan section of an amplifier, if it has one."""
        return None if amplifier.overscan is None else self.raw[amplifier.overscan.slices]

    def judge(
        self, check: str, amplifier: Amplifier, value: float, unit: str, flag: str, message: str = ""
    ) -> CheckResult:
        """Result of a check on an amplifier by the limits of the instrument file."""
        limit = self.frame.instrument.limit(check, self.frame.identity)
        verdict, limits = verdict_of(value, limit)
        return CheckResult(
            file=str(self.frame.path),
            check=check,
            detector=self.setup.detector,
            amplifier=amplifier.name,
            value=value,
            unit=unit,
            verdict=verdict,
            flag="" if verdict == "ok" else flag,
            limits=limits,
            message=message if np.isfinite(value) else "not a number",
        )


def of_file(
    frame: Frame, check: str, value: float, unit: str, verdict: Verdict, flag: str, message: str
) -> CheckResult:
    """Result of a check that concerns the whole file."""
    return CheckResult(
        str(frame.path), check, "", "", value, unit, verdict, "" if verdict == "ok" else flag, None, message
    )
