"""A whole exposure of 62 detectors through the data centre's steps on two cores, and where the time goes.

Run as `python bench/exposure.py [--quick] [--json] [--work DIR] [--rounds N]`. A DECam-like mosaic (1.1 GB raw) is
packed with nfz; what is timed is what happens when the bundle is there. Everything lies on the disk under DIR (about
12 GB for the whole run), warm: files in the page cache where they fit, kernels compiled.

Rows
----
exposure.total
    Unpack and verify, all checks, reduction with bias, flat and bad pixels, cosmic rays, seeing and sky, product
    durably written; seconds. The peer is ccdproc (overscan, trim, uncertainty, bias, gain, flat) and astroscrappy on
    one detector, times their number: no unpacking, no checks, no product.
exposure.unpack, exposure.check, exposure.reduce
    Its parts.
exposure.detector
    Milliseconds of one detector on one core by step, in the row's further figures.
exposure.start
    A worker's start until its kernels are ready, numba's cache filled, against an empty cache (the first start after
    an installation).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.rig.command import parser, show_all
from bench.rig.exposure import pack_frame, write_badpix, write_frame, write_master
from bench.rig.rows import Row, row
from processors.check_frame import check_open_frame, open_frame
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.isr.signature import empty_planes, remove_signature
from processors.masters.build import read_master
from processors.photometry.quick import quick_look
from processors.reduction.frame import reduce_frame
from processors.reduction.inspect import Steps, inspect_detector
from transfer.unpack import unpack

CORES = 2
START = "from processors.warm_up import warm_up; warm_up()"


def timed(action: Callable[..., Any], *given: Any, **named: Any) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    result = action(*given, **named)
    return time.perf_counter() - start, result


class Exposure:
    """The bundle of an exposure and its masters."""

    def __init__(self, work: Path, detectors: int) -> None:
        self.work, self.detectors = work, detectors
        raw = work / "raw.fits"
        write_frame(raw, detectors)
        self.megabytes = raw.stat().st_size / 1e6
        self.bundle = pack_frame(raw, work / "outbox").path
        write_badpix(work / "badpix.fits", raw, detectors)
        raw.unlink()
        for kind in ("bias", "flat"):
            write_master(work / f"{kind}.fits", kind, detectors)
        self.masters = {kind: read_master(work / f"{kind}.fits") for kind in ("bias", "flat", "badpix")}

    def unpack(self) -> Path:
        """The raw frame again, verified."""
        for old in self.work.glob("frames/*"):
            old.unlink()
        return unpack(self.bundle, self.work / "frames")[0].path

    def reduce(self, frame: Frame) -> None:
        """The reduced frame, on the disk."""
        product = self.work / "reduced.fits"
        product.unlink(missing_ok=True)
        made = reduce_frame(
            frame, product, self.masters["bias"], self.masters["flat"], bad_pixels=self.masters["badpix"],
            threads=CORES, sha256="0" * 64,
        )  # fmt: skip
        assert len(made.measures) == self.detectors

    def planes(self, detector: str) -> list[Any]:
        """Bias, flat and bad pixels of a detector."""
        return [
            *(self.masters[kind].plane(detector) for kind in ("bias", "flat")),
            self.masters["badpix"].mask(detector),
        ]

    def run(self) -> dict[str, float]:
        """Seconds of each part."""
        unpacked, path = timed(self.unpack)
        frame = open_frame(path, load_instruments())
        checked, _ = timed(check_open_frame, frame, threads=CORES)
        reduced, _ = timed(self.reduce, frame)
        return {"unpack": unpacked, "check": checked, "reduce": reduced, "total": unpacked + checked + reduced}

    def steps(self, frame: Frame) -> dict[str, float]:
        """Milliseconds of the steps of one detector, on one core, the least of some rounds."""
        setup, planes = frame.setups[0], empty_planes(frame.setups[0])
        bias, flat, bad = self.planes(setup.detector)
        least: dict[str, float] = {}
        for _ in range(5):
            found: dict[str, float] = {}
            found["read"], raw = timed(frame.image, setup)
            found["masters"], _ = timed(self.planes, setup.detector)
            found["signature"], made = timed(remove_signature, raw, setup, bias, flat, bad, out=planes)
            found["seeing and sky"], _ = timed(quick_look, made.sci, made.mask, 0.26)
            looked, _ = timed(inspect_detector, made, "1", 7.0, 0.26, Steps())
            found["cosmic rays"] = looked - found["seeing and sky"]
            least = {name: min(1e3 * value, least.get(name, 1e9)) for name, value in found.items()}
        return {name: round(value, 1) for name, value in least.items()}


def peer_detector(frame: Frame) -> float:
    """Seconds of ccdproc and astroscrappy on the first detector."""
    import astropy.units as u
    import ccdproc
    import numpy as np
    from astropy.nddata import CCDData
    from astroscrappy import detect_cosmics

    setup = frame.setups[0]
    raw = frame.image(setup)

    def one() -> None:
        parts = []
        for amplifier in setup.amplifiers:
            assert amplifier.overscan is not None
            ccd = CCDData(raw[amplifier.data.slices].astype(np.float32), unit="adu")
            ccd = ccdproc.subtract_overscan(
                ccd, overscan=CCDData(raw[amplifier.overscan.slices].astype(np.float32), unit="adu"), median=True
            )
            ccd = ccdproc.create_deviation(
                ccd, gain=amplifier.gain_e_adu * u.electron / u.adu, readnoise=amplifier.read_noise_e * u.electron,
                disregard_nan=True,
            )  # fmt: skip
            level = CCDData(np.zeros(ccd.shape, np.float32), unit="adu")
            ccd = ccdproc.gain_correct(ccdproc.subtract_bias(ccd, level), amplifier.gain_e_adu * u.electron / u.adu)
            parts.append(ccdproc.flat_correct(ccd, CCDData(np.ones(ccd.shape, np.float32), unit="")).data)
        image = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)
        detect_cosmics(image, readnoise=7.0, satlevel=2.4e5)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return timed(one)[0]


def start(cache: Path) -> float:
    """Seconds of a process that makes its kernels ready."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    here = Path(__file__).resolve().parent.parent
    return timed(subprocess.run, [sys.executable, "-c", START], check=True, env=environment, cwd=here)[0]


def measure(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """All rows."""
    exposure = Exposure(work, 4 if quick else 62)
    exposure.run()  # kernels and page cache
    runs = [exposure.run() for _ in range(rounds)]
    frame = open_frame(next((work / "frames").iterdir()), load_instruments())
    peer = [peer_detector(frame) * exposure.detectors]
    size = {"detectors": exposure.detectors, "raw_mb": round(exposure.megabytes)}
    totals = [run["total"] for run in runs]
    yield row("exposure.total", totals, peer, "ccdproc+astroscrappy", "s", less=True, **size)
    for part in ("unpack", "check", "reduce"):
        yield row(f"exposure.{part}", [run[part] for run in runs], (), "-", "s", less=True)
    steps = exposure.steps(frame)
    yield row("exposure.detector", [sum(steps.values())], (), "-", "ms", less=True, **steps)
    empty = start(work / "cache")
    yield row("exposure.start", [start(work / "cache") for _ in range(3)], [empty], "empty cache", "s", less=True)


def main() -> None:
    """Measure and print."""
    known = parser(__doc__, "4 detectors, one round; below 90 s")
    known.add_argument("--work", type=Path, help="directory on the disk to be measured")
    known.add_argument("--rounds", type=int, default=3, help="runs of the whole exposure")
    options = known.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        show_all(measure(Path(name), quick=options.quick, rounds=1 if options.quick else options.rounds), options)


if __name__ == "__main__":
    main()
