"""All checks. A new one is a file beside this one, a line here, its name in `limit_schema.CheckName`, a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from processors.checks.amplifiers import check_amplifiers
from processors.checks.bad_values import check_bad_values
from processors.checks.checksum import check_checksum
from processors.checks.completeness import check_completeness
from processors.checks.content import check_content
from processors.checks.crosstalk import check_crosstalk
from processors.checks.drift import check_drift
from processors.checks.exposure_type import check_exposure_type
from processors.checks.fluence import check_fluence
from processors.checks.gain import check_gain
from processors.checks.header_cards import check_header_cards
from processors.checks.master import check_master
from processors.checks.mean_level import check_mean_level
from processors.checks.night import check_night
from processors.checks.overscan_level import check_overscan_level
from processors.checks.overscan_step import check_overscan_step
from processors.checks.pair_noise import check_pair_noise
from processors.checks.pattern_noise import check_pattern_noise
from processors.checks.pointing import check_pointing
from processors.checks.read_noise import check_read_noise
from processors.checks.result import CheckResult
from processors.checks.saturation import check_saturation
from processors.checks.seeing import check_seeing
from processors.checks.sky import check_sky
from processors.checks.stars import check_stars
from processors.checks.view import DetectorView
from processors.fits import Frame
from processors.instrument_schema import CheckName

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """A check: what it looks at (a frame, a detector, a sequence), and the names that its results may have."""

    run: Callable[[T], Iterator[CheckResult]]
    names: tuple[CheckName, ...]

    @property
    def about(self) -> str:
        """What it measures, in one line: the first of its description."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


FRAME_CHECKS: Final[tuple[Check[Frame], ...]] = (
    Check(check_completeness, ("completeness",)),
    Check(check_checksum, ("checksum",)),
    Check(check_header_cards, ("header_cards",)),
    Check(check_night, ("night",)),
    Check(check_exposure_type, ("exposure_type",)),
    Check(check_pointing, ("pointing",)),
)
DETECTOR_CHECKS: Final[tuple[Check[DetectorView], ...]] = (
    Check(check_bad_values, ("bad_values",)),
    Check(check_overscan_level, ("overscan_level",)),
    Check(check_overscan_step, ("overscan_step",)),
    Check(check_read_noise, ("read_noise",)),
    Check(check_pattern_noise, ("pattern_noise",)),
    Check(check_mean_level, ("mean_level", "noise")),
    Check(check_saturation, ("saturation",)),
    Check(check_amplifiers, ("amplifiers",)),
    Check(check_content, ("content",)),
    Check(check_fluence, ("fluence", "fluence_gradient")),
    Check(check_sky, ("sky_level", "sky_gradient")),
    Check(check_seeing, ("seeing", "focus", "ellipticity")),
    Check(check_stars, ("stars",)),
    Check(check_crosstalk, ("crosstalk",)),
    Check(check_master, ("master_level", "master_pixels")),
)
SEQUENCE_CHECKS: Final[tuple[Check[Sequence[Frame]], ...]] = (
    Check(check_pair_noise, ("read_noise",)),
    Check(check_gain, ("gain",)),
)
# beside what the other checks say of a frame it is given their history
HISTORY_CHECK: Final[tuple[Callable[..., Iterator[CheckResult]], tuple[CheckName, ...]]] = (check_drift, ("drift",))


def every_check() -> tuple[Check[Any], ...]:
    """All of them, in the order of their results."""
    return (*FRAME_CHECKS, *DETECTOR_CHECKS, Check(*HISTORY_CHECK), *SEQUENCE_CHECKS)
