"""Does a calibration frame look like the last good master?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import CheckResult
from processors.checks.view import FLATS, DetectorView
from processors.geometry import Amplifier
from processors.identity import FrameIdentity
from processors.masters.file import Master
from processors.masters.ref import ROLES, calibration_key, key_of
from processors.masters.suitability import days_apart
from processors.planes import Mask

F4 = NDArray[np.float32]
_SIGMAS: Final = 6.0
_MOST: Final = 1_000_000  # pixels of an amplifier that are compared


def check_master(view: DetectorView) -> Iterator[CheckResult]:
    """Difference of level, and fraction of pixels that deviate by more than 6 σ, of every amplifier from the master.

    σ is the noise that is expected of frame and master (the idea is banzai's, its CalibrationComparer). A bias
    is compared above its overscan, a flat after division by the detector's median, a dark per second. No master, or
    none of this detector: no result.
    """
    kind = view.frame.identity.obstype
    role = "flat" if kind in FLATS else kind
    master = view.masters.get(role) if role in {"bias", "dark", "flat"} else None
    if master is None or view.setup.detector not in master.detectors:
        return
    value = master.plane(view.setup.detector)
    variance = master.plane(view.setup.detector, "VAR")
    if value.shape != view.setup.shape:
        message = f"{master.path.name} has {value.shape} pixels, the frame {view.setup.shape}"
        yield view.judge("master_level", None, math.nan, "", "MASTER_OOL", message)
        return
    frame = _like_a_master(view, role)
    for amplifier in view.setup.amplifiers:
        yield from _compared(view, amplifier, role, frame, (value, variance), master.path.name)


def masters_for(identity: FrameIdentity, masters: Iterable[Master]) -> dict[str, Master]:
    """Of some masters those that a calibration frame is compared with, by role: of its key, the nearest in time."""
    own = calibration_key(identity)
    if own is None:
        return {}
    wanted = {replace(key, night="") for key in (own, key_of("bias", identity))}
    found: dict[str, Master] = {}
    for master in sorted(masters, key=lambda master: days_apart(master.ref, identity), reverse=True):
        if replace(master.key, night="") in wanted:
            found[ROLES[master.key.kind]] = master
    return found


def _like_a_master(view: DetectorView, role: str) -> tuple[F4, F4]:
    """The frame in the master's unit, and its variance."""
    sci, var = view.calibrated.sci, view.calibrated.var
    if role == "bias":
        gain = np.empty(view.setup.shape, np.float32)
        for amplifier in view.setup.amplifiers:
            gain[amplifier.trimmed.slices] = amplifier.gain_e_adu
        return sci / gain, var / gain**2
    bias = view.masters.get("bias")
    if bias is not None and view.setup.detector in bias.detectors:
        plane = bias.plane(view.setup.detector)
        if plane.shape == sci.shape:
            sci = sci.copy()
            for amplifier in view.setup.amplifiers:
                place = amplifier.trimmed.slices
                sci[place] -= plane[place] * np.float32(amplifier.gain_e_adu)
    middle = float(np.median(sci[::16, ::16])) if role == "flat" else view.frame.identity.exptime_s
    unit = np.float32(middle if middle > 0 else math.nan)
    return sci / unit, var / unit**2


def _compared(
    view: DetectorView, amplifier: Amplifier, role: str, frame: tuple[F4, F4], master: tuple[F4, F4], name: str
) -> Iterator[CheckResult]:
    place = amplifier.trimmed.slices
    step = max(1, math.isqrt(math.prod(amplifier.trimmed.shape) // _MOST))
    some = (slice(None, None, step), slice(None, None, step))
    value, variance, reference, its_variance = (plane[place][some] for plane in (*frame, *master))
    good = (view.calibrated.mask[place][some] & np.uint16(Mask.SATURATED)) == 0
    good &= np.isfinite(reference) & np.isfinite(its_variance)
    if role == "flat":
        # the master may be normalised over other detectors
        reference = reference / np.float32(_middle(master[0]))
    difference = (value - reference)[good]
    level = float(np.median(difference)) if difference.size else math.nan
    sigma = np.sqrt((variance + its_variance)[good])
    far = np.abs(difference - level) > _SIGMAS * sigma
    fraction = float(np.count_nonzero(far)) / difference.size if math.isfinite(level) else math.nan
    unit = {"bias": "adu", "dark": "e-/s", "flat": "fraction"}[role]
    yield view.judge("master_level", amplifier, level, unit, "MASTER_OOL", f"above {name}")
    yield view.judge("master_pixels", amplifier, fraction, "fraction", "MASTER_OOL", f"against {name}")


def _middle(plane: F4) -> float:
    some = plane[::16, ::16]
    some = some[np.isfinite(some)]
    return float(np.median(some)) if some.size else math.nan
