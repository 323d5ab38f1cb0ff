"""How patient and how strict the conductor is, from the settings and the instrument files."""

from __future__ import annotations

from processors.instrument import Instruments
from processors.masters.associate import NEEDS, Role
from services.conductor.view import Rules
from services.core.settings import ConductSettings


def rules_of(conduct: ConductSettings, instruments: Instruments) -> Rules:
    """The rules of planning. What `conduct.calibrate` says of an instrument wins over the `needs_dark` of its file."""
    needs_dark: dict[str, tuple[Role, ...]] = {
        instrument.name: (*NEEDS, "dark") for instrument in instruments.known if instrument.spec.needs_dark
    }
    return Rules(
        production=conduct.production,
        sequence_quiet_s=conduct.sequence_quiet_s,
        calibration_wait_s=conduct.calibration_wait_s,
        calibration_max_age_days=conduct.calibration_max_age_days,
        min_bias=conduct.min_bias,
        min_flat=conduct.min_flat,
        reduce_without=frozenset(conduct.reduce_without),
        min_dark=conduct.min_dark,
        calibrate={**needs_dark, **conduct.calibrate},
        temperature_tolerance_c=conduct.temperature_tolerance_c,
    )
