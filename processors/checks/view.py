"""What a check of pixels is given: one detector of one frame, what is measured once for all, a way to pronounce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import CheckResult, Verdict, scaled, verdict_of
from processors.fits import Frame, Pixels
from processors.geometry import Amplifier, DetectorSetup
from processors.isr.signature import Calibrated, Planes, remove_signature
from processors.masters.file import Master
from processors.photometry.peaks import Peaks, find_peaks
from processors.photometry.quick import QuickLook, quick_look
from processors.photometry.sky import EVERY_BIT

POOR: Final = "POORQUALDATA"
ON_SKY: Final = frozenset({"science", "standard"})
FLATS: Final = frozenset({"flat", "skyflat"})
UNLIT: Final = frozenset({"bias", "dark"})
LEAST_SIDE: Final = 200  # pixels; a smaller window is not asked for stars
_SIGMAS: Final = 10.0  # height of the peaks that count as stars


@dataclass(frozen=True)
class DetectorView:
    """One detector of a frame with its raw pixels (rows, columns), ADU; what several checks need is measured once.

    `masters` are the last good masters for such a frame, by role (`bias`, `dark`, `flat`). `planes` may be given to be
    filled by the quick reduction; they then serve one view at a time.
    """

    frame: Frame
    setup: DetectorSetup
    raw: Pixels
    masters: Mapping[str, Master] = field(default_factory=dict)
    planes: Planes | None = None

    @cached_property
    def calibrated(self) -> Calibrated:
        """The detector in e- above the overscan, without any master (BadFrame where an overscan holds NaN)."""
        return remove_signature(self.raw, self.setup, out=self.planes)

    @cached_property
    def look(self) -> QuickLook:
        """Seeing and sky: the one detection that all checks of stars share."""
        scale = self.frame.instrument.pixel_scale_arcsec(self.frame.headers)
        return quick_look(self.calibrated.sci, self.calibrated.mask, scale)

    @cached_property
    def peaks(self) -> Peaks:
        """Starlike peaks 10 σ above the sky."""
        return find_peaks(self.calibrated.sci, self.calibrated.mask, self.look.sky, _SIGMAS, EVERY_BIT)

    @cached_property
    def data_levels(self) -> Mapping[str, float]:
        """Median of the data of every amplifier above its overscan, e- (every n-th pixel)."""
        found = {}
        for amplifier in self.setup.amplifiers:
            section = self.calibrated.sci[amplifier.trimmed.slices]
            step = max(1, int(np.sqrt(section.size / 60_000)))
            found[amplifier.name] = float(np.median(section[step // 2 :: step, step // 2 :: step]))
        return found

    @property
    def shows_stars(self) -> bool:
        """Whether stars are to be expected: an image of the sky that is more than a small window."""
        identity = self.frame.identity
        return identity.obstype in ON_SKY and identity.mode == "imaging" and min(self.setup.shape) >= LEAST_SIDE

    @property
    def has_overscan(self) -> bool:
        """Whether every amplifier has an overscan."""
        return all(amplifier.overscan is not None for amplifier in self.setup.amplifiers)

    def data(self, amplifier: Amplifier) -> NDArray[Any]:
        """Data section of an amplifier."""
        return self.raw[amplifier.data.slices]

    def overscan(self, amplifier: Amplifier) -> NDArray[Any] | None:
        """Overscan section of an amplifier, if it has one."""
        return None if amplifier.overscan is None else self.raw[amplifier.overscan.slices]

    def judge(
        self,
        check: str,
        amplifier: Amplifier | None,
        value: float,
        unit: str,
        flag: str,
        message: str = "",
        scale: float = 1.0,
    ) -> CheckResult:
        """Result of a check on an amplifier, or on the detector, by the limits of the instrument file times `scale`.

        What is not a number is an error flagged POORQUALDATA, whatever the limits; without limits that is said.
        """
        limit = scaled(self.frame.instrument.limit(check, self.frame.identity), scale)
        verdict, limits = verdict_of(value, limit)
        if not np.isfinite(value):
            flag, message = POOR, message or "not a number"
        elif limits is None:
            message = f"{message}; no limits" if message else "no limits"
        return CheckResult(
            file=str(self.frame.path),
            check=check,
            detector=self.setup.detector,
            amplifier="" if amplifier is None else amplifier.name,
            value=value,
            unit=unit,
            verdict=verdict,
            flag="" if verdict == "ok" else flag,
            limits=limits,
            message=message,
        )


def of_file(
    frame: Frame, check: str, value: float, unit: str, verdict: Verdict, flag: str, message: str
) -> CheckResult:
    """Result of a check that concerns the whole file."""
    return CheckResult(
        str(frame.path), check, "", "", value, unit, verdict, "" if verdict == "ok" else flag, None, message
    )
