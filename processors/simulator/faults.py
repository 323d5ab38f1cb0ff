"""Faults on demand: what goes wrong in a simulated night, from when to when. Nothing of it is left to chance."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from processors.errors import ProcessorError

# kind: what happens, for the help of `nightferry simulate`
HOUSEKEEPING: Final = {
    "step": "a parameter jumps `by` so much, and back at the end",
    "drift": "a parameter drifts away, `by` so much at the end of the first half, and back in the second",
    "flap": "a parameter goes between `value` (what it was) - `by` and + `by`, `every` so many seconds",
    "stuck": "a parameter keeps the value it had",
    "railed": "a sensor is at the end of its converter: `value` (-273.15)",
    "nan": "a parameter is no number",
    "stale": "no rows are written",
    "clock": "the clock of the rows is off `by` so many seconds",
    "truncate": "the file of the moment loses the second half of its rows",
    "recreate": "the file of the moment is made anew, with its heading only",
}
FRAMES: Final = {
    "cut": "the file of an exposure ends after `keep` of its bytes (0.6)",
    "slow": "in the middle of the file the camera waits `for` seconds",
    "duplicate": "the exposure is there a second time, under another name",
    "missing": "a `detector` is missing",
}
_MOMENTS: Final = frozenset({"truncate", "recreate"})  # over as soon as they have happened
_SPEC: Final = re.compile(r"(?P<kind>[a-z]+)(?::(?P<rest>.*))?", re.DOTALL)
_AT: Final = re.compile(r"(?P<clock>\d\d:\d\d(:\d\d)?)|(?P<percent>\d+(\.\d+)?)%|(?P<seconds>\d+(\.\d+)?)")
_NUMBERS: Final = {"for": "lasts_s", "by": "by", "value": "value", "every": "every_s", "keep": "keep"}
_WHOLE: Final = {"exposure": "exposure", "detector": "detector"}


class BadFault(ProcessorError):
    """A fault that cannot be: the message says what was expected."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    kind : str
        A key of `HOUSEKEEPING` or `FRAMES`.
    parameter : str
        Of housekeeping, where the kind is about one.
    at : str
        Of housekeeping, when it begins: `HH:MM[:SS]` UTC, seconds after the first row, or a percentage of all rows.
    lasts_s : float
        Seconds of simulated time; of `slow`, of real time.
    by, value : float
        In the unit of the parameter (of `clock`, seconds). No value: -273.15 of `railed`; of `flap`, what the
        parameter was before.
    every_s : float
        Of `flap`: seconds in one place.
    exposure, detector : int
        Of a frame: running number in the night, and of the detector, from 1.
    keep : float
        Of `cut`: part of the bytes that is written.
    """

    kind: str
    parameter: str = "HK_temp_top_CCD1"
    at: str = "40%"
    lasts_s: float = 900.0
    by: float = 5.0
    value: float | None = None
    every_s: float = 30.0
    exposure: int = 1
    detector: int = 1
    keep: float = 0.6

    @property
    def of_frames(self) -> bool:
        """Whether it happens to a frame, not to housekeeping."""
        return self.kind in FRAMES

    @property
    def level(self) -> float | None:
        """The `value`, or what the kind has instead of one; None: what the parameter was."""
        return -273.15 if self.value is None and self.kind == "railed" else self.value

    def when(self, start: dt.datetime, end: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """From when to when it lasts in housekeeping between `start` and `end` (UTC)."""
        match = _AT.fullmatch(self.at)
        if match is None:
            raise BadFault(f"at={self.at}: expected HH:MM[:SS], seconds or a percentage such as 40%")
        if match["clock"]:
            begin = dt.datetime.combine(start.date(), dt.time.fromisoformat(match["clock"]), start.tzinfo)
            begin += dt.timedelta(days=1) if begin < start else dt.timedelta()
        elif match["percent"]:
            begin = start + (end - start) * float(match["percent"]) / 100
        else:
            begin = start + dt.timedelta(seconds=float(match["seconds"]))
        begin = begin.replace(microsecond=0)
        if not start <= begin <= end:
            raise BadFault(f"at={self.at}: housekeeping goes from {start:%H:%M:%S} to {end:%H:%M:%S} UT")
        lasts = 0.0 if self.kind in _MOMENTS else self.lasts_s
        return begin, begin + dt.timedelta(seconds=lasts)


def parse_fault(text: str) -> Fault:
    """A fault from `KIND[:PARAMETER][,key=value…]`, as `step:HK_temp_top_CCD1,by=12,at=01:30,for=900`.

    Raises
    ------
    BadFault
        The kind or a key is unknown, or a number is none.
    """
    match = _SPEC.fullmatch(text.strip())
    kinds = {**HOUSEKEEPING, **FRAMES}
    if match is None or match["kind"] not in kinds:
        raise BadFault(f"{text!r}: expected KIND[:PARAMS] with KIND one of {', '.join(kinds)}")
    values: dict[str, Any] = {}
    for number, item in enumerate(filter(None, (match["rest"] or "").split(","))):
        key, equals, word = item.partition("=")
        if not equals and number == 0:
            values["exposure" if match["kind"] in FRAMES else "parameter"] = key.strip()
        else:
            values |= _value(text, key.strip(), word.strip())
    if isinstance(values.get("exposure"), str):
        values |= _value(text, "exposure", values["exposure"])
    fault = Fault(match["kind"], **values)
    complaints = "; ".join(complaints_about(fault))
    if complaints:
        raise BadFault(f"{text!r}: {complaints}")
    return fault


def complaints_about(fault: Fault) -> Iterator[str]:
    """What is wrong with a fault, apart from whether the night has its exposure, detector or moment."""
    if fault.kind not in HOUSEKEEPING and fault.kind not in FRAMES:
        yield f"fault {fault.kind!r}: unknown"
    numbers = (fault.lasts_s, fault.by, fault.value or 0.0, fault.every_s, fault.keep)
    if not all(map(math.isfinite, numbers)) or fault.lasts_s < 0 or fault.every_s <= 0:
        yield "times are above zero, and all numbers finite"
    if not 0 < fault.keep < 1:
        yield f"keep={fault.keep}: expected a part between 0 and 1"
    if not _AT.fullmatch(fault.at):
        yield f"at={fault.at}: expected HH:MM[:SS], seconds or a percentage such as 40%"
    if fault.exposure < 1 or fault.detector < 1:
        yield "exposures and detectors count from 1"


def record_of(fault: Fault, **more: Any) -> dict[str, Any]:
    """A fault as the truth tells it: what its kind uses, and what became of it."""
    used = {
        **dict.fromkeys(("step", "drift"), ("parameter", "by")),
        "flap": ("parameter", "by", "value", "every_s"),
        **dict.fromkeys(("stuck", "nan"), ("parameter",)),
        "railed": ("parameter", "value"),
        "clock": ("by",),
        "cut": ("keep",),
        "slow": ("lasts_s",),
        "missing": ("detector",),
    }.get(fault.kind, ())
    values = {name: getattr(fault, "level" if name == "value" else name) for name in used}
    return {"kind": fault.kind, **{name: value for name, value in values.items() if value is not None}, **more}


def _value(text: str, key: str, word: str) -> dict[str, Any]:
    known = {"at", "parameter", *_NUMBERS, *_WHOLE}
    if key not in known:
        raise BadFault(f"{text!r}: {key!r} is unknown; expected {', '.join(sorted(known))}")
    try:
        if key in _NUMBERS:
            return {_NUMBERS[key]: float(word)}
        if key in _WHOLE:
            return {_WHOLE[key]: int(word)}
    except ValueError:
        raise BadFault(f"{text!r}: {key}={word}: expected a number") from None
    return {key: word}
