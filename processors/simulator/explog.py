"""The exposure log, in the columns of Euclid's ground calibration: a row per detector of every exposure.

`EXP_LOG_<ddmmyy>.txt`: tab-separated, CRLF, every line ends with a tab. What a telescope's camera does not have
(charge injection, trap pumping) keeps its resting value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from processors.simulator.camera import READOUT_S, Camera
from processors.simulator.headers import ccd_temperature_c
from processors.simulator.options import NightOptions
from processors.simulator.plan import PlannedExposure

COLUMNS: Final = (
    *(
        "ObsID",
        "File_name",
        "CCD",
        "ROE",
        "DATE",
        "PROGRAM",
        "TEST",
        "CCD1_SN",
        "CCD2_SN",
        "CCD3_SN",
        "BUNIT",
        "Operator",
    ),
    *("Lab_ver", "Con_file", "Exptime", "Flsh-Rdout_e_time", "C.Inj-Rdout_e_time", "N_P_high", "Chrg_inj", "On_cycle"),
    *(
        "Off_cycl",
        "Rpeat_cy",
        "pls_leng",
        "pls_del",
        "Trappump",
        "TP_Ser_S",
        "TP_Ver_S",
        "TP_DW_V",
        "TP_DW_H",
        "TOI_flu",
    ),
    *(
        "TOI _pump",
        "TOI_read",
        "Invflshp",
        "Invflush",
        "Flushes",
        "Vstart ",
        "Vend ",
        "Lim_scan ",
        "Ovrscn_H ",
        "Ovrscn_V ",
    ),
    *("V_clocks ", "S_clocks", "CLK_ROE1", "CLK_ROE2", "FPGA_ver", "EGSE_ver", "M_Steps", "M_St_Sze", "Wavelength"),
    *(
        "Mirr_pos",
        "Chmb_pre",
        "ROE_SN",
        "CalScrpt",
        "R1CCD1TT",
        "R1CCD1TB",
        "R1CCD2TT",
        "R1CCD2TB",
        "R1CCD3TT",
        "R1CCD3TB",
    ),
    *("IDL_V", "IDH_V", "IG1_V", "IG2_V", "ODCCD1_V", "RDCCD1_V", "ODCCD2_V", "RDCCD2_V", "ODCCD3_V", "RDCCD3_V"),
)
_RESTING: Final = {
    "ROE": "ROE1", "PROGRAM": "simcam", "BUNIT": "ADU", "Operator": "N. Pilot", "Lab_ver": "simctl 4.2",
    "Con_file": "simcam-normal-2025-11.acf", "C.Inj-Rdout_e_time": "0", "N_P_high": "I2I3", "Chrg_inj": "0",
    "On_cycle": "0", "Off_cycl": "0", "Rpeat_cy": "0", "pls_leng": "0.000", "pls_del": "0.000", "Trappump": "0",
    "TP_Ser_S": "0", "TP_Ver_S": "0", "TP_DW_V": "0", "TP_DW_H": "0", "TOI_flu": "143", "TOI _pump": "1000",
    "TOI_read": "1000", "Invflshp": "500.000", "Invflush": "1", "Flushes": "3", "Vstart ": "1", "Lim_scan ": "0",
    "Ovrscn_H ": "50", "Ovrscn_V ": "50", "V_clocks ": "Tri-level", "S_clocks": "Even_mode", "CLK_ROE1": "Normal",
    "CLK_ROE2": "Normal", "FPGA_ver": "2.75", "EGSE_ver": "4.2", "M_Steps": "0", "M_St_Sze": "0", "Chmb_pre": "0.00",
    "ROE_SN": "SIM_01", "CalScrpt": "night.plan", "IDL_V": "13.000", "IDH_V": "18.000", "IG1_V": "3.000",
    "IG2_V": "6.000",
    **{f"OD{ccd}_V": "26.000" for ccd in ("CCD1", "CCD2", "CCD3")},
    **{f"RD{ccd}_V": "16.000" for ccd in ("CCD1", "CCD2", "CCD3")},
}  # fmt: skip


class ExposureLog:
    """Appends the rows of an exposure once its files are on the disk."""

    def __init__(self, directory: Path, options: NightOptions, camera: Camera) -> None:
        self.path = directory / f"EXP_LOG_{options.date:%d%m%y}.txt"
        self._camera = camera
        self._new = True

    def append(self, planned: PlannedExposure, files: Sequence[str]) -> None:
        """Append the rows of an exposure: `files` holds one name for all detectors, or one per detector."""
        names = files if len(files) > 1 else [files[0]] * len(self._camera.detectors)
        lines = [_line(self._row(planned, number, name)) for number, name in enumerate(names, start=1)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("wb" if self._new else "ab") as file:
            file.write("".join([_line(COLUMNS)] * self._new + lines).encode("ascii"))
        self._new = False

    def _row(self, planned: PlannedExposure, number: int, file: str) -> list[str]:
        values = {
            **_RESTING,
            "ObsID": str(planned.expid),
            "File_name": file.removesuffix(".fits"),
            "CCD": f"CCD{number}",
            "DATE": f"{planned.start:%d%m%yD%H%M%ST}",
            "TEST": planned.sequence.split("-", 2)[2].upper(),
            "Exptime": f"{planned.exptime_s:g}",
            "Flsh-Rdout_e_time": f"{1000 * (planned.exptime_s + READOUT_S):.0f}",
            "Vend ": str(self._camera.geometry.height),
            "Wavelength": planned.band or "0",
            "Mirr_pos": f"{planned.weather.focus_um:.1f}",
        }
        for ccd in (1, 2, 3):
            serial = f"SIM-{self._camera.seed % 1000:03d}-{ccd:02d}" if ccd <= len(self._camera.detectors) else ""
            temperature = f"{ccd_temperature_c(planned.hours, ccd):.2f}"
            values |= {f"CCD{ccd}_SN": serial, f"R1CCD{ccd}TT": temperature, f"R1CCD{ccd}TB": temperature}
        return [values[column] for column in COLUMNS]


def _line(fields: Sequence[str]) -> str:
    return "\t".join(fields) + "\t\r\n"
