"""Rows `sources.*`: a CCD's sources and seeing, against source-extractor, on a simulated DECam-like CCD.

`sources.sextractor`: the whole catalogue of a 4096 x 2048 CCD from its FITS file in memory (/dev/shm where there is
one), ours with background, Kron fluxes, flags and adaptive moments of every source; source-extractor with the columns
that cost it least (isophotal centres and shapes, FLUX_AUTO). `sources.windowed`: the same, but source-extractor also
gives windowed centres (XWIN_IMAGE), which answer to our adaptive moments. `sources.quick`: seeing and sky of the CCD
from an image in memory, against seeing from our whole catalogue. All with one thread, alternately.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fitsio
import numpy as np
from rig.command import in_memory, parser, show_all
from rig.decam import BIASES, GAINS, OVERSCAN, PRESCAN, detector
from rig.rows import Row, row

from processors.photometry.quick import QuickLook, quick_look
from processors.photometry.seeing import measure_seeing
from processors.photometry.sources import Sources, find_sources
from processors.planes import Mask

ROWS, COLUMNS, FULL = 4096, 2048, 60000
CHEAP = ("NUMBER", "X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO", "FLUX_MAX", "FWHM_IMAGE", "A_IMAGE", "B_IMAGE",
         "THETA_IMAGE", "ELLIPTICITY", "ISOAREA_IMAGE", "FLAGS")  # fmt: skip
WINDOWED = (*CHEAP, "XWIN_IMAGE", "YWIN_IMAGE", "X2WIN_IMAGE", "Y2WIN_IMAGE", "XYWIN_IMAGE")


def make_ccd(sky_adu: float) -> tuple[Any, Any, Any]:
    """A CCD as it is after reduction: e-, e-² and the mask of saturated pixels."""
    raw = detector(sky_adu, np.random.default_rng(11))[:ROWS]
    edge, half = OVERSCAN + PRESCAN, raw.shape[1] // 2
    halves = (raw[:, edge:half], raw[:, half:-edge])
    electrons = [
        (part.astype(np.float32) - bias) * gain for part, bias, gain in zip(halves, BIASES, GAINS, strict=True)
    ]
    sci = np.ascontiguousarray(np.concatenate(electrons, axis=1), dtype=np.float32)
    mask = np.where(np.concatenate(halves, axis=1) >= FULL, Mask.SATURATED, 0).astype(np.uint16)
    return sci, np.maximum(sci, 0) + np.float32(49), mask


class Extractor:
    """The program source-extractor on a file, with our threshold, filter and mesh."""

    def __init__(self, work: Path, image: Path, columns: tuple[str, ...], saturation_e: float) -> None:
        self.catalogue = work / f"{len(columns)}.cat"
        parameters, conv = work / f"{len(columns)}.param", work / "default.conv"
        parameters.write_text("\n".join(columns) + "\n")
        conv.write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
        options = {
            "PARAMETERS_NAME": parameters, "FILTER_NAME": conv, "CATALOG_NAME": self.catalogue,
            "CATALOG_TYPE": "FITS_1.0", "VERBOSE_TYPE": "QUIET", "NTHREADS": 1, "DETECT_MINAREA": 5,
            "DETECT_THRESH": 1.5, "ANALYSIS_THRESH": 1.5, "BACK_SIZE": 64, "BACK_FILTERSIZE": 3,
            "SATUR_LEVEL": saturation_e, "GAIN": 1.0,
        }  # fmt: skip
        self.command = ["source-extractor", str(image), "-c", os.devnull]
        self.command += [word for name, value in options.items() for word in (f"-{name}", str(value))]

    def __call__(self) -> int:
        """Number of sources."""
        subprocess.run(self.command, check=True, capture_output=True, timeout=60)
        return int(fitsio.FITS(str(self.catalogue))[1].get_nrows())


def alternate(steps: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Milliseconds of each step, one after the other in every round, and what each gave; each has run once before."""
    results = {name: step() for name, step in steps.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            taken[name].append(1000 * (time.perf_counter() - begun))
    return taken, results


def measure(work: Path, *, quick: bool) -> Iterator[Row]:
    """All rows."""
    sci, var, mask = make_ccd(1000.0)
    image, rounds = work / "ccd.fits", 7 if quick else 21
    fitsio.write(str(image), sci)

    def from_file() -> Sources:
        read = np.ascontiguousarray(fitsio.read(str(image)), dtype=np.float32)
        return find_sources(read, var, mask)

    def in_memory() -> Sources:
        return find_sources(sci, var, mask)

    def seeing_of_all() -> Any:
        return measure_seeing(find_sources(sci, var, mask))

    def look() -> QuickLook:
        return quick_look(sci, mask)

    if shutil.which("source-extractor") is None:
        print("source-extractor is not installed: no rows against it", file=sys.stderr)
    else:
        cheap, windowed = (Extractor(work, image, columns, 4.0 * FULL) for columns in (CHEAP, WINDOWED))
        taken, found = alternate({"ours": from_file, "theirs": cheap, "memory": in_memory}, rounds)
        least = round(min(taken["theirs"]) / min(taken["ours"]), 3)
        counts = {"sources": len(found["ours"]), "peer_sources": found["theirs"], "ratio_of_least": least}
        memory = round(float(np.median(taken["memory"])), 1)
        yield row("sources.sextractor", taken["ours"], taken["theirs"], "source-extractor", "ms", less=True, **counts,
                  without_reading_ms=memory)  # fmt: skip
        taken, found = alternate({"ours": from_file, "theirs": windowed}, max(3, rounds // 3))
        yield row("sources.windowed", taken["ours"], taken["theirs"], "source-extractor XWIN", "ms", less=True,
                  sources=len(found["ours"]), peer_sources=found["theirs"])  # fmt: skip
    taken, found = alternate({"ours": look, "theirs": seeing_of_all}, rounds)
    mine, other = found["ours"].seeing, found["theirs"]
    yield row("sources.quick", taken["ours"], taken["theirs"], "sep, all sources", "ms", less=True,
              fwhm_px=round(mine.fwhm_px, 3), peer_fwhm_px=round(other.fwhm_px, 3), stars=mine.number,
              peer_stars=other.number)  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "fewer runs; below 45 s").parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    with in_memory() as work:
        show_all(measure(work, quick=options.quick), options)


if __name__ == "__main__":
    main()
