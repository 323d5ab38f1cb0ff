"""All checks. A new one is a file beside this one, a line here, its name in `instrument_schema.CheckName`, a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from processors.checks.bad_values import check_bad_values
from processors.checks.completeness import check_completeness
from processors.checks.exposure_type import check_exposure_type
from processors.checks.gain import check_gain
from processors.checks.header_cards import check_header_cards
from processors.checks.mean_level import check_mean_level
from processors.checks.night import check_night
from processors.checks.overscan_level import check_overscan_level
from processors.checks.pair_noise import check_pair_noise
from processors.checks.read_noise import check_read_noise
from processors.checks.result import CheckResult
from processors.checks.saturation import check_saturation
from processors.checks.view import DetectorView
from processors.fits import Frame

FRAME_CHECKS: Final[tuple[Callable[[Frame], Iterator[CheckResult]], ...]] = (
    check_completeness,
    check_header_cards,
    check_night,
    check_exposure_type,
)
DETECTOR_CHECKS: Final[tuple[Callable[[DetectorView], Iterator[CheckResult]], ...]] = (
    check_bad_values,
    check_overscan_level,
    check_read_noise,
    check_mean_level,
    check_saturation,
)
SEQUENCE_CHECKS: Final[tuple[Callable[[Sequence[Frame]], Iterator[CheckResult]], ...]] = (
    check_pair_noise,
    check_gain,
)
