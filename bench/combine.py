"""Sigma-clipped combination of 20 DECam-size images, against ccdproc, astropy and numpy, alternately.

Run as `python bench/combine.py [--quick] [--json]`.

Rows
----
combine.ccdproc, combine.astropy, combine.numpy
    Seconds for the clipped mean; ours makes variance and count of inputs, too. numpy computes the same statistic as
    ours, the peers clip by the standard deviation as they come. `ours_extra_mb` and `peer_extra_mb` are the memory that
    was needed besides the images (float32, 0.7 GB), `ours_rms` and `peer_rms` the noise of the combined image, which is
    2.24 at best.
combine.median.ccdproc
    Seconds for the clipped median; ccdproc's is not clipped.

Every run is a process of its own with one thread, which has imported and compiled what it needs before the clock runs.
With --quick a quarter of the rows, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.rig.command import in_memory, parser, show_all
from bench.rig.rows import Row, row

IMAGES, ROWS, COLUMNS = 20, 4146, 2160
SIDE = Path(__file__).resolve().parent / "rig" / "combiners.py"
PAIRS = (
    ("combine.numpy", "ours", "numpy"),
    ("combine.astropy", "ours", "astropy"),
    ("combine.ccdproc", "ours", "ccdproc"),
    ("combine.median.ccdproc", "ours_median", "ccdproc_median"),
)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def run(way: str, stack: Path, *more: int) -> dict[str, float]:
    """One combination in a new process."""
    command = [sys.executable, str(SIDE), way, str(stack), *map(str, more)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD})
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])  # ccdproc prints, too
    return found


def compare(name: str, ours: str, peer: str, stack: Path, rounds: int) -> Row:
    """One row: ours and the peer in turn."""
    sides: dict[str, list[dict[str, float]]] = {ours: [], peer: []}
    for _ in range(rounds):
        for way, runs in sides.items():
            runs.append(run(way, stack))
    seconds = {way: [each["seconds"] for each in runs] for way, runs in sides.items()}
    more: dict[str, Any] = {"images": IMAGES}
    for label, way in (("ours", ours), ("peer", peer)):
        more[f"{label}_extra_mb"] = round(max(each["extra_mb"] for each in sides[way]))
        more[f"{label}_rms"] = round(sides[way][0]["rms"], 3)
    return row(name, seconds[ours], seconds[peer], peer.removesuffix("_median"), "s", less=True, **more)


def measure(work: Path, *, quick: bool) -> Iterator[Row]:
    """All rows."""
    stack = work / "stack.npy"
    # made in a process of its own, too: a child inherits the peak of its parent's memory
    run("make", stack, IMAGES, ROWS // 4 if quick else ROWS, COLUMNS)
    for name, ours, peer in PAIRS:
        yield compare(name, ours, peer, stack, 1 if quick else 3)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "a quarter of the rows, once; below 45 s").parse_args()
    with in_memory() as work:
        show_all(measure(work, quick=options.quick), options)


if __name__ == "__main__":
    main()
