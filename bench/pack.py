"""Packing speed and size: nfz against fpack, alternated in one run on the same DECam-like frames.

Run as `python bench/pack.py [--quick] [--json]`. Both run on one core, read from and write to memory (/dev/shm where
there is one). fpack does not hash what it reads; nfz's time includes the SHA-256 and the DATASUMs of the original.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from transfer.codecs.nfz import Nfz

ROWS, COLUMNS, OVERSCAN, PRESCAN = 4146, 2160, 50, 6
GAINS, BIASES, READ_NOISE = (4.02, 4.31), (1812.0, 2240.0), 7.0  # e-/ADU, ADU, e-


def detector(sky: float, rng: np.random.Generator) -> np.ndarray:
    """A raw DECam-like CCD, uint16: two amplifiers with overscan, stars on a sky (ADU), bad columns, tracks."""
    height, width = 4096, 2048
    light = np.full((height, width), sky * 4, np.float32)
    y, x = np.mgrid[-12:13, -12:13]
    for flux, at_x, at_y in zip(
        np.clip(2000 * (rng.pareto(0.8, 1500) + 1), 0, 3e6),
        rng.uniform(13, width - 14, 1500),
        rng.uniform(13, height - 14, 1500),
        strict=True,
    ):
        column, row = int(at_x), int(at_y)
        profile = (1 + ((x - at_x + column) ** 2 + (y - at_y + row) ** 2) / 13.9) ** -3.0
        light[row - 12 : row + 13, column - 12 : column + 13] += flux * 0.046 * profile
    light *= 1 + rng.normal(0, 0.004, light.shape).astype(np.float32)
    light = rng.poisson(light).astype(np.float32)
    for _ in range(300):  # cosmic rays
        steps = np.arange(1 + rng.exponential(9))
        angle = rng.uniform(0, np.pi)
        rows = np.clip(rng.integers(0, height) + steps * np.sin(angle), 0, height - 1).astype(int)
        columns = np.clip(rng.integers(0, width) + steps * np.cos(angle), 0, width - 1).astype(int)
        light[rows, columns] += rng.lognormal(7, 0.6)
    raw = np.empty((ROWS, COLUMNS), np.float32)
    half = COLUMNS // 2
    for amplifier in (0, 1):
        columns = slice(amplifier * half, (amplifier + 1) * half)
        level = BIASES[amplifier] + 3 * np.exp(-np.arange(ROWS) / 300) + rng.normal(0, 0.15, ROWS)
        raw[:, columns] = level[:, None] + rng.normal(0, READ_NOISE / GAINS[amplifier], (ROWS, half))
    raw += rng.normal(0, 0.4, raw.shape) + 0.8 * np.sin(np.arange(COLUMNS) / 40)
    edge = OVERSCAN + PRESCAN
    raw[:height, edge:half] += light[:, : width // 2] / GAINS[0]
    raw[:height, half:-edge] += light[:, width // 2 :] / GAINS[1]
    for column in rng.integers(edge, COLUMNS - edge, 4):
        raw[rng.integers(0, 3000) : height, column] *= 3
    return np.clip(np.rint(raw), 0, 60000).astype(np.uint16)


def make_frame(path: Path, detectors: int) -> None:
    """A mosaic file with skies from 1000 to 5000 ADU."""
    import fitsio

    rng = np.random.default_rng(7)
    with fitsio.FITS(str(path), "rw", clobber=True) as fits:
        fits.write(None, header={"EXPNUM": 1, "FILTER": "r"})
        for number, sky in enumerate(np.geomspace(1000, 5000, detectors)):
            cards = {"CCDNUM": number + 1} | {f"K{key:05d}": key * 1.5 for key in range(120)}
            fits.write(detector(sky, rng), header=cards, extname=f"N{number + 1}")


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def spread(values: list[float]) -> list[float]:
    """Smallest and largest."""
    return [round(min(values), 3), round(max(values), 3)]


def row(name: str, ours: list[float], peer: list[float], peer_name: str, unit: str) -> dict[str, object]:
    """A row of medians; more is better."""
    mine, other = statistics.median(ours), statistics.median(peer)
    return {
        "row": name,
        "ours": round(mine, 3),
        "peer": round(other, 3),
        "peer_name": peer_name,
        "unit": unit,
        "ratio": round(mine / other, 3),
        "ours_spread": spread(ours),
        "peer_spread": spread(peer),
        "runs": len(ours),
    }


def measure(work: Path, detectors: int, runs: int) -> list[dict[str, object]]:
    """All rows."""
    source, packed, restored, theirs = (work / name for name in ("raw.fits", "raw.nfz", "back.fits", "raw.fits.fz"))
    unpacked = work / "their.fits"
    make_frame(source, detectors)
    size = source.stat().st_size
    megabytes = size / 1e6

    def encode(threads: int = 1) -> None:
        with packed.open("wb") as sink:
            Nfz(threads).encode(source, sink, scratch=work)

    def decode() -> None:
        with packed.open("rb") as file, restored.open("wb") as sink:
            Nfz().decode(file, sink, size=size, scratch=work)

    def fpack() -> None:
        theirs.unlink(missing_ok=True)
        subprocess.run(["fpack", "-r", str(source)], check=True)

    def funpack() -> None:
        unpacked.unlink(missing_ok=True)
        subprocess.run(["funpack", "-O", str(unpacked), str(theirs)], check=True)

    for warm_up in (encode, decode, fpack, funpack):
        warm_up()
    if restored.read_bytes() != source.read_bytes():
        raise SystemExit("nfz does not restore the frame")
    steps = {"encode": encode, "fpack": fpack, "decode": decode, "funpack": funpack, "two": lambda: encode(2)}
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(runs):
        for name, step in steps.items():
            speeds[name].append(megabytes / timed(step))
    ratios = [size / packed.stat().st_size], [size / theirs.stat().st_size]
    return [
        row("pack.speed", speeds["encode"], speeds["fpack"], "fpack", "MB/s"),
        row("pack.size", *ratios, "fpack", "raw/packed"),
        row("unpack.speed", speeds["decode"], speeds["funpack"], "funpack", "MB/s"),
        row("pack.speed.2threads", speeds["two"], speeds["fpack"], "fpack (one process)", "MB/s"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer detectors and runs; below 45 s")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    options = parser.parse_args()
    if shutil.which("fpack") is None or shutil.which("funpack") is None:
        raise SystemExit("fpack and funpack are needed (apt install libcfitsio-bin)")
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        rows = measure(Path(name), *((3, 5) if options.quick else (8, 11)))
    for each in rows:
        if options.json:
            print(json.dumps(each))
        else:
            print(
                f"{each['row']:<22} {each['ours']:>9} {each['unit']:<11} {each['peer_name']} {each['peer']:>9}"
                f"   x{each['ratio']}   spread {each['ours_spread']} / {each['peer_spread']}, {each['runs']} runs"
            )


if __name__ == "__main__":
    main()
