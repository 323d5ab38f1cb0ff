"""Whether a master may be used for a frame, and how good a choice it would be."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final

from processors.identity import FrameIdentity
from processors.masters.ref import LIT, CalibrationKey, MasterRef, detector_of, slit_of

_COLD: Final = frozenset({"bias", "dark", "badpix"})  # kinds that change with the detector's temperature
# A sky flat has the sky's illumination, a dome flat has not; but dust moves: a dome flat this much nearer in time wins.
DOME_PENALTY_DAYS: Final = 3.0


def obstacle(ref: MasterRef, identity: FrameIdentity, max_age_days: float, temperature_tolerance_c: float) -> str:
    """Why a master must not be used for a frame; empty when it may."""
    if other := _of_another(ref.key, identity):
        return other
    if ref.withdrawn:
        return "withdrawn"
    apart_c = temperature_apart(ref, identity)
    if apart_c is not None and abs(apart_c) > temperature_tolerance_c:
        return f"temperature differs by {apart_c:+.1f} °C, more than {temperature_tolerance_c:g}"
    if ref.certified_for(identity.night):
        return ""
    if any(not validity.copied for validity in ref.validity):
        return f"certified for {', '.join(str(v) for v in sorted(ref.validity))}, not for {identity.night}"
    days = days_apart(ref, identity)
    return f"{days:.1f} days away, more than {max_age_days:g}" if days > max_age_days else ""


def _of_another(key: CalibrationKey, identity: FrameIdentity) -> str:
    if key.instrument != identity.instrument:
        return f"of another instrument, {key.instrument}"
    if key.detector not in {"", detector_of(identity)}:
        return f"of another detector, {key.detector}"
    if key.readout != identity.readout:
        return f"readout is {key.readout or 'not known'}, the frame's {identity.readout or 'not known'}"
    if key.kind not in LIT:
        return ""
    for what, have, want in (
        ("filter", key.filter, identity.filter),
        ("mode", key.mode, identity.mode),
        ("slit", key.slit, slit_of(identity)),
    ):
        if have != want:
            return f"{what} is {have or 'none'}, the frame's {want or 'none'}"
    return ""


def rank(ref: MasterRef, identity: FrameIdentity) -> tuple[bool, float, str, str]:
    """Place of a master among those that may be used, the lowest first; no two masters share one."""
    dome = ref.key.kind == "flat" and identity.mode == "imaging"
    distance = days_apart(ref, identity) + (DOME_PENALTY_DAYS if dome else 0.0)
    return not ref.certified_for(identity.night), distance, ref.path, ref.sha256


def days_apart(ref: MasterRef, identity: FrameIdentity) -> float:
    """Days between a master and a frame."""
    return abs((_instant(ref.date_obs) - _instant(identity.date_obs)).total_seconds()) / 86400.0


def temperature_apart(ref: MasterRef, identity: FrameIdentity) -> float | None:
    """Temperature of a master above a frame's, °C; None where it does not matter or one of them is not known."""
    if ref.key.kind not in _COLD or ref.temperature_c is None or identity.temperature_c is None:
        return None
    return ref.temperature_c - identity.temperature_c


@lru_cache(maxsize=65536)
def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)  # cached: every frame is compared with every master
