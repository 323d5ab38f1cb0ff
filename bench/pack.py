"""Packing speed and size: nfz and our Rice against fpack and everybody else, alternately on the same frames.

Run as `python bench/pack.py [--quick] [--json]`. Everything runs on one core (but `pack.speed.2threads`), reads from
and writes to memory (/dev/shm where there is one). Only ours hash what they read: their time includes the SHA-256 and
the DATASUMs of the original. `pack.fz_*` is our Rice, everything else is nfz. The frames are DECam-like; rows that end
in the name of an instrument are real frames, which are measured where they lie beside the project.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rig.command import in_memory, parser, show_all
from rig.decam import make_frame
from rig.packers import Packers
from rig.rows import Row, row

__all__ = ["make_frame"]

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw"
INSTRUMENTS = {"efosc2": "efosc2_ntt", "esis": "msfc_esis"}


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Stay on so many of this process's cores, and so do its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def alternate(steps: Mapping[str, Callable[[], None]], size: int, rounds: int) -> dict[str, list[float]]:
    """Speeds (MB/s of raw bytes) of each step, one after the other in every round; each has run once before."""
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            speeds[name].append(size / 1e6 / (time.perf_counter() - begun))
    return speeds


def ratios(pack: Packers, ours: str, peer: str) -> tuple[list[float], list[float]]:
    """Raw bytes per packed byte."""
    return [pack.size / pack.packed(ours)], [pack.size / pack.packed(peer)]


def against_fpack(pack: Packers, rounds: int, suffix: str = "") -> list[Row]:
    """Both our codecs and fpack, there and back."""
    steps: dict[str, Callable[[], None]] = {
        "nfz": lambda: pack.ours("nfz"),
        "fpack": pack.fpack,
        "rice": lambda: pack.ours("rice"),
        "nfz back": lambda: pack.ours_back("nfz"),
        "funpack": pack.funpack,
        "rice back": lambda: pack.ours_back("rice"),
    }
    with cores(1):
        for name, step in steps.items():
            step()
            if name.endswith("back") and not pack.same():
                raise SystemExit(f"{name.split()[0]} does not restore the frames")
        speeds = alternate(steps, pack.size, rounds)
    return [
        row(f"pack.speed{suffix}", speeds["nfz"], speeds["fpack"], "fpack", "MB/s"),
        row(f"pack.size{suffix}", *ratios(pack, "nfz", "fpack"), "fpack", "raw/packed"),
        row(f"unpack.speed{suffix}", speeds["nfz back"], speeds["funpack"], "funpack", "MB/s"),
        row(f"pack.fz_speed{suffix}", speeds["rice"], speeds["fpack"], "fpack", "MB/s"),
        row(f"pack.fz_size{suffix}", *ratios(pack, "rice", "fpack"), "fpack", "raw/packed"),
        row(f"unpack.fz_speed{suffix}", speeds["rice back"], speeds["funpack"], "funpack", "MB/s"),
    ]


def against_others(pack: Packers, rounds: int) -> Iterator[Row]:
    """nfz and every other way to pack."""
    others = pack.others()
    if importlib.util.find_spec("imagecodecs") is None:
        del others["jpegls"]
        print("imagecodecs is not installed: no JPEG-LS", file=sys.stderr)
    for name, step in others.items():
        with cores(1):
            step()
            speeds = alternate({"nfz": lambda: pack.ours("nfz"), name: step}, pack.size, rounds)
        yield row(f"pack.speed.{name}", speeds["nfz"], speeds[name], name, "MB/s")
        yield row(f"pack.size.{name}", *ratios(pack, "nfz", name), name, "raw/packed")


def with_threads(pack: Packers, rounds: int) -> Row:
    """nfz with two threads, against fpack in one process as it comes."""
    with cores(2):
        speeds = alternate({"nfz": lambda: pack.ours("nfz", threads=2), "fpack": pack.fpack}, pack.size, rounds)
    return row("pack.speed.2threads", speeds["nfz"], speeds["fpack"], "fpack (one process)", "MB/s")


def real_frames(directory: Path, folder: Path) -> list[Path]:
    """Copies of real frames, uncompressed and under names that cfitsio does not take for expressions."""
    directory.mkdir()
    files = []
    for number, path in enumerate(sorted(each for each in folder.rglob("*") if each.suffix in {".fits", ".gz"})):
        target = directory / f"frame{number:03d}.fits"
        target.write_bytes(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        files.append(target)
    return files


def simulated(directory: Path, detectors: int) -> Packers:
    """One DECam-like frame."""
    directory.mkdir()
    make_frame(directory / "frame.fits", detectors)
    return Packers([directory / "frame.fits"])


def measure(work: Path, *, quick: bool) -> Iterator[Row]:
    """All rows."""
    rounds = 5 if quick else 11
    pack = simulated(work / "decam", 3 if quick else 8)
    yield from against_fpack(pack, rounds)
    yield with_threads(pack, rounds)
    shutil.rmtree(work / "decam")
    yield from against_others(simulated(work / "others", 1 if quick else 3), 2 if quick else 5)
    shutil.rmtree(work / "others")
    for name, folder in INSTRUMENTS.items():
        if (REAL / folder).is_dir():
            yield from against_fpack(Packers(real_frames(work / name, REAL / folder)), rounds, f".{name}")
            shutil.rmtree(work / name)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "fewer detectors and runs; below 45 s").parse_args()
    if shutil.which("fpack") is None or shutil.which("funpack") is None:
        raise SystemExit("fpack and funpack are needed (apt install libcfitsio-bin)")
    with in_memory() as work:
        show_all(measure(work, quick=options.quick), options)


if __name__ == "__main__":
    main()
