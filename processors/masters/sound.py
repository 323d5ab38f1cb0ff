"""Whether a master that somebody brings can be used: it says of what it is, and its planes hold numbers."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import numpy as np

from processors.errors import BadFrame
from processors.masters.file import Master
from processors.night import parse_time

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ROLE: Final = re.compile(r"[a-z]{1,16}")


def ensure_sound(master: Master) -> None:
    """Make sure that a master from outside can be chosen and applied.

    Raises
    ------
    BadFrame
        Its night or time is none, it does not say what it was made from, it has no plane, or a detector of which no
        pixel is known.
    """
    _ensure_night(master.key.night)
    parse_time(master.date_obs, "iso")
    for given in master.inputs:
        if not (_SHA256.fullmatch(given.sha256) and _ROLE.fullmatch(given.role)):
            raise BadFrame(f"its input {given.name!r} has no sha256 and role that could be recorded")
    if not master.detectors:
        raise BadFrame("it holds no plane of any detector")
    for detector in master.detectors:
        plane = master.mask(detector) if master.key.kind == "badpix" else master.plane(detector)
        if not np.isfinite(plane).any():
            raise BadFrame(f"detector {detector}: no pixel of it is known")


def _ensure_night(night: str) -> None:
    try:
        if dt.datetime.strptime(night, "%Y%m%d").strftime("%Y%m%d") == night:
            return
    except ValueError:
        pass
    raise BadFrame(f"its night {night!r} is no YYYYMMDD")
