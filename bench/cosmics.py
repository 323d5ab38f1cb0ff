"""Cosmic rays in DECam-size frames (4096 × 2048 trimmed): time, completeness and purity, against astroscrappy.

Run as `python bench/cosmics.py [--quick] [--json]`.

Rows
----
cosmics.astroscrappy[.1thread]
    L.A.Cosmic alone, with the same thresholds (4.5, 0.3, 5, 4 iterations) and masked medians on both sides.
cosmics.significance[.1thread]
    What `find_cosmics` does as it comes: a lower threshold, and a test of each object's signal-to-noise.
cosmics.psf[.1thread]
    With the test against the gradient of a star, too.

Milliseconds a frame, without the replacing of what was found, which is `clean_ms`; astroscrappy replaces as it goes.
It runs as it comes, with a thread on each core, in all rows; ours with two threads or
one. In every row `ours_…` and `peer_…` are the scores on the same frames: the share found of the objects and of the
pixels that were struck, and the share of the named objects that are cosmic rays. With --quick one frame of half the
rows.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import astroscrappy
import numpy as np

from bench.rig.command import parser, show_all
from bench.rig.rows import Row, row
from bench.rig.struck import FWHM, READ_NOISE, ROWS, SATURATION, Struck, detector, scores
from processors.cosmics.find import find_cosmics
from processors.cosmics.options import PUBLISHED, CosmicOptions
from processors.cosmics.replace import clean

SKIES = (4000.0, 10000.0, 20000.0)  # e-
WAYS = {
    "cosmics.astroscrappy": PUBLISHED,
    "cosmics.significance": CosmicOptions(),
    "cosmics.psf": CosmicOptions(psf_fwhm_px=FWHM),
}
THREADS = {"": 2, ".1thread": 1}
Masks = dict[str, list[Any]]
Times = dict[str, list[float]]


def timed(function: Callable[[], Any], milliseconds: list[float]) -> Any:
    """What a function gives; its time is added to the list."""
    begun = time.perf_counter()
    out = function()
    milliseconds.append((time.perf_counter() - begun) * 1e3)
    return out


def peer(frame: Struck) -> Any:
    """astroscrappy's mask."""
    found, _ = astroscrappy.detect_cosmics(
        frame.sci, inmask=frame.mask != 0, sigclip=4.5, sigfrac=0.3, objlim=5.0, niter=4, readnoise=READ_NOISE,
        satlevel=0.99 * SATURATION, sepmed=True, cleantype="medmask", fsmode="median",
    )  # fmt: skip
    return found


def race(frames: list[Struck], rounds: int) -> tuple[Times, Masks]:
    """Times and masks of everybody, frame after frame and in turn; `rounds` of ours to one of astroscrappy's."""
    times: Times = {name + suffix: [] for name in WAYS for suffix in THREADS} | {"clean": [], "peer": []}
    masks: Masks = {name: [] for name in times}
    for frame in frames:
        masks["peer"].append(timed(lambda frame=frame: peer(frame), times["peer"]))
        for turn in range(rounds):
            for name, options in WAYS.items():
                for suffix, threads in THREADS.items():
                    way = replace(options, threads=threads)
                    found = timed(
                        lambda frame=frame, way=way: find_cosmics(frame.sci, READ_NOISE, frame.mask, way).mask,
                        times[name + suffix],
                    )
                    if turn == 0:
                        masks[name + suffix].append(found)
            timed(lambda frame=frame, found=found: clean(frame.sci, found, frame.mask), times["clean"])
    return times, masks


def measure(*, quick: bool) -> Iterator[Row]:
    """All rows."""
    rows = ROWS // 2 if quick else ROWS
    frames = [detector(100 + number, sky, rows) for number, sky in enumerate(SKIES[1:2] if quick else SKIES)]
    for options in WAYS.values():  # compiled before the clock runs
        find_cosmics(frames[0].sci[:200], READ_NOISE, frames[0].mask[:200], options)
    clean(frames[0].sci[:200], np.ones((200, frames[0].sci.shape[1]), np.bool_))
    times, masks = race(frames, 5 if quick else 7)
    theirs = {f"peer_{key}": value for key, value in scores(frames, masks["peer"]).items()}
    for name, taken in times.items():
        if name not in {"peer", "clean"}:
            figures = {f"ours_{key}": value for key, value in scores(frames, masks[name]).items()} | theirs
            figures["clean_ms"] = round(statistics.median(times["clean"]), 1)
            yield row(name, taken, times["peer"], "astroscrappy", "ms", less=True, **figures)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "one frame of half the rows; below 45 s").parse_args()
    show_all(measure(quick=options.quick), options)


if __name__ == "__main__":
    main()
