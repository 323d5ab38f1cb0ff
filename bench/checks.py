"""Rows `checks.*`: every check of a DECam-like CCD (2160 x 4146 uint16) in memory, one thread.

The same frame, with a sky of 1500 ADU, 1500 stars, cosmic rays and bad columns, is checked as a bias, a flat and a
science frame. The peer is what one has to pay for less: two numbers, numpy's median and standard deviation of the data.
`share_ms` tells what each check takes, what several share (`reduction`, `detection`) by itself.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from rig.command import parser, show_all
from rig.decam import BIASES, COLUMNS, GAINS, OVERSCAN, PRESCAN, READ_NOISE, detector
from rig.rows import Row, row

from processors.checks.registry import DETECTOR_CHECKS
from processors.checks.view import DetectorView
from processors.fits import Frame
from processors.geometry import Amplifier, DetectorSetup, Section
from processors.identity import FrameIdentity
from processors.instrument import load_instruments
from processors.isr.signature import empty_planes

ROWS = 4096


def make_setup() -> DetectorSetup:
    """Two amplifiers side by side, overscan at the outer edges."""
    half, edge = COLUMNS // 2, OVERSCAN + PRESCAN
    wide = half - edge
    places = ((edge, half, PRESCAN, edge, 0), (half, COLUMNS - edge, COLUMNS - edge, COLUMNS - PRESCAN, wide))
    amplifiers = [
        Amplifier(
            name, Section(x0, x1, 0, ROWS), Section(o0, o1, 0, ROWS), True, gain, READ_NOISE, 60_000.0 - level,
            Section(start, start + wide, 0, ROWS),
        )
        for name, (x0, x1, o0, o1, start), gain, level in zip("AB", places, GAINS, BIASES, strict=True)
    ]  # fmt: skip
    return DetectorSetup("1", 0, tuple(amplifiers), (ROWS, 2 * wide), ())


def make_frame(obstype: Any, setup: DetectorSetup) -> Frame:
    """A frame of DECam of which only the pixels are asked for."""
    identity = FrameIdentity(
        "decam", "20260101", 1, ("1",), obstype, 60.0, "r", "", "2026-01-01T20:00:00", None, "imaging", "normal", 62
    )
    return Frame(Path("ccd"), load_instruments().named("decam"), ({},), identity, (setup,))  # type: ignore[arg-type]


def timed(function: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def rows(repeats: int) -> Iterator[Row]:
    """A row for each kind of frame."""
    raw, setup = detector(1500.0, np.random.default_rng(11)), make_setup()
    planes = empty_planes(setup)
    for obstype in ("bias", "flat", "science"):
        frame = make_frame(obstype, setup)
        ours, peer = [], []
        shares: dict[str, list[float]] = {}
        for repeat in range(repeats + 1):
            view = DetectorView(frame, setup, raw, {}, planes)
            spent = {"reduction": timed(lambda view=view: view.calibrated)}
            if obstype == "science":
                spent["detection"] = timed(lambda view=view: (view.look, view.peaks))
            for check in DETECTOR_CHECKS:
                spent[" ".join(check.names)] = timed(lambda view=view, check=check: list(check.run(view)))
            numpy_ms = timed(lambda: (np.median(raw[:ROWS]), raw[:ROWS].std()))
            if repeat:  # the first one compiles
                ours.append(sum(spent.values()))
                peer.append(numpy_ms)
                for name, milliseconds in spent.items():
                    shares.setdefault(name, []).append(milliseconds)
        told = {name: round(statistics.median(values), 1) for name, values in shares.items()}
        share = {name: value for name, value in sorted(told.items(), key=lambda item: -item[1]) if value >= 0.1}
        yield row(f"checks.{obstype}", ours, peer, "median and std", "ms", less=True, share_ms=share)


def main() -> None:
    """Measure, print."""
    options = parser(__doc__, "three repeats", whole=True).parse_args()
    show_all(rows(3 if options.quick else 9), options)


if __name__ == "__main__":
    main()
