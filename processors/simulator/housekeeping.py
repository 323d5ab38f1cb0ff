"""Housekeeping of the camera through the night, in the files that Euclid's ground calibration writes.

`HK_<obsid>_<ddmmyy>D<hhmmss>T_ROE1.txt`: tab-separated, CRLF, one header line of padded names, one row per sample with
the time of day (UTC) first. The date is only in the file's name, so rows after midnight belong to the next day. A file
begins with each sequence and grows until the next one begins.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.simulator import site
from processors.simulator.hk_faults import damage
from processors.simulator.options import NightOptions
from processors.simulator.plan import PlannedExposure
from processors.simulator.seeds import Stream, generator

# (name, usual value, slow drift through the night, noise, step of the converter); V, mA and deg C
PARAMETERS: Final[tuple[tuple[str, float, float, float, float], ...]] = (
    *((f"HK_OD_{end}_CCD{ccd}", 26.0, 0.02, 0.006, 0.01) for ccd in (1, 2, 3) for end in ("Top", "Bottom")),
    *((f"HK_RD_{end}_CCD{ccd}", 16.0, 0.015, 0.005, 0.01) for ccd in (1, 2, 3) for end in ("Top", "Bottom")),
    *(
        (f"HK_temp_{end}_CCD{ccd}", -100.0 - 0.1 * ccd, 0.25, 0.02, 0.01)
        for ccd in (1, 2, 3)
        for end in ("top", "bottom")
    ),
    ("HK_IG1_top", 3.0, 0.01, 0.004, 0.01),
    ("HK_IG1_bot", 3.0, 0.01, 0.004, 0.01),
    ("HK_IG2_top", 6.0, 0.01, 0.004, 0.01),
    ("HK_IG2_bot", 6.0, 0.01, 0.004, 0.01),
    ("HK_IDH", 18.0, 0.01, 0.005, 0.01),
    ("HK_IDL", 13.0, 0.01, 0.005, 0.01),
    ("HK_DD_bias", 22.0, 0.02, 0.006, 0.01),
    ("HK_OG_bias", 2.0, 0.005, 0.003, 0.01),
    ("HK_1.5V_ROE", 1.5, 0.002, 0.002, 0.01),
    ("HK_VCCD_ROE", 32.1, 0.05, 0.012, 0.01),
    ("HK_5VA_pos_ROE", 5.02, 0.005, 0.003, 0.01),
    ("HK_5V_ref_ROE", 5.0, 0.002, 0.001, 0.01),
    ("HK_10VA_ROE", 10.05, 0.01, 0.005, 0.01),
    ("HK_5.2V_neg_ROE", -5.21, 0.005, 0.003, 0.01),
    ("HK_3V_neg_ROE", -3.02, 0.004, 0.002, 0.01),
    ("HK_VRclk_ROE", 9.8, 0.01, 0.005, 0.01),
    ("HK_VRClk_Lo_ROE", 0.7, 0.005, 0.003, 0.01),
    ("HK_3.3V_DIG_RPSU", 3.31, 0.003, 0.002, 0.01),
    ("HK_I3.3V_DIG_RPSU", 0.65, 0.01, 0.006, 0.01),
    ("HK_1.5V_DIG_RPSU", 1.5, 0.002, 0.002, 0.01),
    ("HK_I1.5V_DIG_RPSU", 0.31, 0.008, 0.004, 0.01),
    ("HK_28V_Pri_RPSU", 28.1, 0.06, 0.02, 0.01),
    ("HK_I28V_RPSU", 1.24, 0.02, 0.01, 0.01),
    ("HK_VAN_pos_RPSU", 12.1, 0.02, 0.006, 0.01),
    ("HK_I+VAN_RPSU", 0.42, 0.01, 0.005, 0.01),
    ("HK_VAN_neg_RPSU", -6.4, 0.01, 0.004, 0.01),
    ("HK_I-VAN_RPSU", 0.52, 0.01, 0.005, 0.01),
    ("HK_VCLK_RPSU", 14.2, 0.02, 0.006, 0.01),
    ("HK_IVCLK_RPSU", 0.28, 0.01, 0.006, 0.01),
    ("HK_VCCD_RPSU", 34.0, 0.04, 0.01, 0.01),
    ("HK_IVCCD_RPSU", 0.09, 0.004, 0.003, 0.01),
    ("HK_Temp1_RPSU", 24.5, 2.0, 0.05, 0.01),
    ("HK_3.3V_ROE", 3.3, 0.003, 0.002, 0.01),
    ("HK_Temp2_RPSU", 26.0, 2.0, 0.05, 0.01),
    ("HK_VClk_ROE", 13.1, 0.02, 0.006, 0.01),
    ("Video_TOP", -96.5, 0.4, 0.03, 0.01),
    ("Video_BOT", -96.9, 0.4, 0.03, 0.01),
)
COLUMNS: Final = ("HK_timestamp", *(parameter[0] for parameter in PARAMETERS))
_BEFORE: Final = dt.timedelta(seconds=60)
_AFTER: Final = dt.timedelta(seconds=60)


class Housekeeping:
    """Writes the night's housekeeping as it goes: `advance(when)` appends every row up to a moment."""

    def __init__(self, directory: Path, options: NightOptions, plan: Sequence[PlannedExposure]) -> None:
        self._directory = directory
        firsts = [planned for planned in plan if planned.num == 1]
        self.start = (firsts[0].start - _BEFORE).replace(microsecond=0)
        self.end = (plan[-1].end + _AFTER).replace(microsecond=0)
        self._step = options.hk_every_s
        names, converters = (
            [parameter[0] for parameter in PARAMETERS],
            np.array([parameter[4] for parameter in PARAMETERS]),
        )
        good = values(options, self.start, self.end)
        self._rows = damage(options.faults, good, names, self.start, self._step, converters)
        self.faults = self._rows.truth
        beginnings = [
            self.start,
            *((first.start - dt.timedelta(seconds=5)).replace(microsecond=0) for first in firsts[1:]),
        ]
        self._files = [(when, _file_name(first.expid, when)) for first, when in zip(firsts, beginnings, strict=True)]
        self._next = 0
        self.written: list[Path] = []

    def advance(self, until: dt.datetime) -> None:
        """Append the rows up to a moment; whole lines only, each to the file of its sequence."""
        lines: dict[str, list[str]] = {}
        while self._next < len(self._rows.values):
            when = self.start + dt.timedelta(seconds=self._next * self._step)
            if when > until:
                break
            name = [file for begin, file in self._files if begin <= when][-1]
            for fault in self._rows.files.get(self._next, ()):
                self._append(self._directory / name, lines.pop(name, []))
                self._damage_file(self._directory / name, fault)
            if not self._rows.missing[self._next]:
                lines.setdefault(name, []).append(self._line(when))
            self._next += 1
        for name, rows in lines.items():
            self._append(self._directory / name, rows)

    def _line(self, when: dt.datetime) -> str:
        clock = when + dt.timedelta(seconds=float(self._rows.shift_s[self._next]))
        row = "\t".join(f"{value:.2f}" for value in self._rows.values[self._next])
        return f"{clock:%H:%M:%S}\t{row}\r\n"

    def _damage_file(self, path: Path, fault: str) -> None:
        """What a disk, or a person, does to a file: cut back in place, or removed and begun again."""
        lines = path.read_bytes().splitlines(keepends=True)
        if fault == "truncate":
            with path.open("r+b") as file:
                file.truncate(sum(len(line) for line in lines[: 1 + (len(lines) - 1) // 2]))
        else:
            path.unlink()
            path.write_bytes(lines[0])

    def finish(self) -> None:
        """Append what is left of the night."""
        self.advance(self.end)

    def _append(self, path: Path, rows: list[str]) -> None:
        new = path not in self.written
        if new:
            self.written.append(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [header_line(), *rows]
        with path.open("wb" if new else "ab") as file:
            file.write("".join(rows).encode("ascii"))


def header_line() -> str:
    """The first line of a file: names padded to 31 characters, as Euclid's are."""
    return "\t".join((COLUMNS[0], *(f"{name:<31}" for name in COLUMNS[1:]))) + "\r\n"


def values(options: NightOptions, start: dt.datetime, end: dt.datetime) -> npt.NDArray[np.float64]:
    """Every sample of the night: (rows, parameters), in the order of `PARAMETERS`.

    Value = usual + offset of this camera + slow wave of its own phase + a wandering (Ornstein-Uhlenbeck, an hour's
    memory) + noise, rounded to the converter's step.
    """
    rng = generator(Stream.HOUSEKEEPING, options.seed, int(options.night))
    rows = int((end - start).total_seconds()) // options.hk_every_s + 1
    table = np.array([parameter[1:] for parameter in PARAMETERS], dtype=np.float64)
    usual, drift, noise, step = table.T
    noon = site.local_noon(options.date)
    hours = ((start - noon).total_seconds() + np.arange(rows) * options.hk_every_s) / 3600
    phase = rng.uniform(0, 2 * np.pi, len(table))
    slow = drift * np.sin(2 * np.pi * hours[:, None] / 13.0 + phase)
    memory = np.exp(-options.hk_every_s / 3600)
    wander = np.zeros((rows, len(table)))
    kicks = rng.standard_normal((rows, len(table))) * np.sqrt(1 - memory**2) * 0.3 * drift
    for row in range(1, rows):
        wander[row] = memory * wander[row - 1] + kicks[row]
    offset = rng.normal(0, 0.5, len(table)) * drift
    raw = usual + offset + slow + wander + rng.standard_normal((rows, len(table))) * noise
    return np.asarray(np.round(raw / step) * step)


def _file_name(obsid: int, when: dt.datetime) -> str:
    return f"HK_{obsid}_{when:%d%m%yD%H%M%ST}_ROE1.txt"
