"""How the watcher sees: rescan, first rescan, close to decision, and a burst, against watchdog alone.

Rows
----
watch.rescan
    Seconds of one walk over 100,000 files on record in 300 directories; the peer is watchdog's `DirectorySnapshot`,
    which is what its polling observer makes at every turn.
watch.first_rescan, watch.memory
    Seconds from the start of the process to the end of the first walk over the same files, and the peak of its resident
    memory (MB); the peer is a process with watchdog's observer and one snapshot, and no ledger.
watch.latency.p50, watch.latency.p99
    Milliseconds from the close of a frame of 9 HDUs (4 MB, one every 0.12 s) to the decision that it is whole. Ours is
    the whole daemon (it hashes, records and packs the frames meanwhile); the peer opens the file with fitsio in
    watchdog's callback. The first frames, which load the codec, are not counted.
watch.burst, watch.burst.seconds
    How many of 30,000 files that were made in about 0.4 s were looked at, and the seconds from the first file to the
    last one found. The peer is watchdog's callback alone.

Each watcher is a process of its own; this one writes the files. Ratios are medians of alternate rounds.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from bench.identify import cards
from bench.rig.command import parser, show_all
from bench.rig.rows import Row, row
from bench.rig.watchers import Listener, load

FILES, DIRECTORIES, BURST = 100_000, 300, 30_000
FRAMES, QUICK_FRAMES, WARM_UP, WARM_S, EVERY_S = 300, 40, 10, 2.0, 0.12
BURST_DIRECTORIES = 100
WRITER = """
import os, sys
root, number, folders = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for i in range(number):
    os.close(os.open(f"{root}/d{i % folders:03d}/b{i:06d}.fits", os.O_WRONLY | os.O_CREAT))
"""


def make_tree(root: Path, files: int, directories: int) -> None:
    """Empty files, evenly in directories."""
    for number in range(directories):
        (root / f"d{number:03d}").mkdir(parents=True)
    for number in range(files):
        os.close(os.open(f"{root}/d{number % directories:03d}/f{number:06d}.fits", os.O_WRONLY | os.O_CREAT))


def put_on_record(camera: Path, state: Path) -> None:
    """The ledger of a watcher that has seen every file there is."""
    from services.core.ledger.engine import open_ledger
    from services.core.ledger.schema import files
    from services.watcher.events import Matcher, walk

    ledger = open_ledger(load(camera, state).ledger)
    rows = []
    for entry in walk(camera, Matcher(["*.fits"])):
        stat = entry.stat()
        stamp = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        rows.append({"path": entry.path, **stamp, "sha256": "0" * 64, "reason": None, "noticed_at": 0.0})
    with ledger.begin() as conn:
        conn.execute(files.insert(), rows)
    ledger.close()


def rescans(camera: Path, state: Path, rounds: int) -> Iterator[Row]:
    """Rows `watch.rescan`, `watch.first_rescan` and `watch.memory`."""
    from watchdog.utils.dirsnapshot import DirectorySnapshot

    from services.core.daemon import Daemon
    from services.core.ledger.engine import open_ledger
    from services.core.ledger.telescope import known_files
    from services.core.log import set_up_logging
    from services.core.metrics.spool import Spool
    from services.watcher.daemon import Watcher

    settings = load(camera, state)
    with (state / "rescan.log").open("a") as log:
        set_up_logging(settings.log, log)
        ledger, spool = open_ledger(settings.ledger), Spool(settings.metrics_spool, settings.site)
        watcher = Watcher(Daemon("watch"), settings, ledger, spool, state / "summit.yaml")
        with ledger.begin() as conn:
            watcher.known = known_files(conn)
        pairs = []
        for _ in range(rounds):
            pairs.append((seconds(watcher.rescan), seconds(lambda: DirectorySnapshot(str(camera)))))
        spool.close()
        ledger.close()
    yield compared("watch.rescan", pairs, "watchdog DirectorySnapshot", "s", files=FILES, directories=DIRECTORIES)
    starts, peaks = [], []
    for _ in range(max(2, rounds // 2)):
        mine, other = Listener("ours", camera, state), Listener("snapshot", camera, state)
        starts.append((mine.ready_s, other.ready_s))
        peaks.append((mine.peak_mb(), other.peak_mb()))
        mine.end()
        other.end()
    yield compared("watch.first_rescan", starts, "watchdog observer and snapshot", "s", files=FILES)
    yield compared("watch.memory", peaks, "watchdog observer and snapshot", "MB", files=FILES)


def latencies(camera: Path, state: Path, frames: int, rounds: int) -> Iterator[Row]:
    """Rows `watch.latency.p50` and `.p99`."""
    pixels = np.random.default_rng(1).normal(1000, 30, (512, 512)).astype(">i2").tobytes()
    pixels += bytes(-len(pixels) % 2880)
    found: dict[str, list[float]] = {"ours": [], "fitsio": []}
    halves: list[dict[str, list[float]]] = []
    for turn in range(rounds):
        half: dict[str, list[float]] = {}
        for role in found:
            listener = Listener(role, camera, state)
            closed = {}
            for number in range(WARM_UP + frames):
                path = camera / f"{role}{turn}-{number:04d}.fits"
                if number == WARM_UP:
                    time.sleep(WARM_S)
                write_frame(path, turn * (WARM_UP + frames) + number + 1, pixels)
                closed[str(path)] = time.monotonic()
                time.sleep(EVERY_S)
            wait_for(listener, WARM_UP + frames)
            times = listener.end()
            half[role] = [(times[path] - at) * 1e3 for path, at in list(closed.items())[WARM_UP:]]
            found[role] += half[role]
            for path in closed:
                Path(path).unlink()
        halves.append(half)
    for name, part in (("p50", 50), ("p99", 99)):
        pairs = [(percentile(half["ours"], part), percentile(half["fitsio"], part)) for half in halves]
        extra = {"ours_max": round(max(found["ours"]), 3), "peer_max": round(max(found["fitsio"]), 3)}
        yield compared(f"watch.latency.{name}", pairs, "watchdog and fitsio", "ms", frames=frames, **extra)


def write_frame(path: Path, expid: int, pixels: bytes) -> None:
    """A DECam-like frame of 9 HDUs."""
    primary = {
        "SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "INSTRUME": "DECam", "EXPNUM": expid, "EXPTIME": 90.0,
        "DATE_OBS": "2013-09-01T04:41:51.123", "OBSTYPE": "object", "FILTER": "g DECam SDSS c0001 4720.0 1520.0",
        "OBJECT": "DES survey hex", "PROPID": "2012B-0001",
    }  # fmt: skip
    with path.open("wb") as file:
        file.write(cards(170, **primary))
        for number in range(1, 9):
            shape = {"NAXIS": 2, "NAXIS1": 512, "NAXIS2": 512, "PCOUNT": 0, "GCOUNT": 1, "CCDNUM": number}
            file.write(cards(100, XTENSION="IMAGE", BITPIX=16, **shape))
            file.write(pixels)


def bursts(camera: Path, state: Path, rounds: int) -> Iterator[Row]:
    """Rows `watch.burst` and `watch.burst.seconds`."""
    numbers, ends, made = [], [], []
    for turn in range(rounds):
        got: dict[str, tuple[float, float]] = {}
        for role in ("ours", "plain"):
            root = camera / f"{role}{turn}"
            make_tree(root, 0, BURST_DIRECTORIES)
            listener = Listener(role, root, state / f"{role}{turn}")
            started = time.monotonic()
            subprocess.run([sys.executable, "-c", WRITER, str(root), str(BURST), str(BURST_DIRECTORIES)], check=True)
            made.append(time.monotonic() - started)
            wait_for(listener, BURST)
            times = listener.end()
            got[role] = (float(len(times)), max(times.values()) - started)
        numbers.append((got["ours"][0], got["plain"][0]))
        ends.append((got["ours"][1], got["plain"][1]))
    extra = {"made_in_s": round(statistics.median(made), 2)}
    yield compared("watch.burst", numbers, "watchdog callback alone", "files", more=True, **extra)
    yield compared("watch.burst.seconds", ends, "watchdog callback alone (of those that it found)", "s", **extra)


def wait_for(listener: Listener, number: int, quiet_s: float = 2.0) -> None:
    """Until it has decided about so many files, or nothing more comes."""
    count, changed = -1, time.monotonic()
    while count < number and time.monotonic() - changed < quiet_s:
        before, count = count, listener.count()
        if count != before:
            changed = time.monotonic()
        time.sleep(0.1)


def seconds(function: Callable[[], object]) -> float:
    """Time of one run."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def percentile(values: Sequence[float], part: int) -> float:
    """The value below which `part` of 100 lie."""
    return sorted(values)[min(len(values) - 1, len(values) * part // 100)]


def compared(
    name: str, pairs: Sequence[tuple[float, float]], peer: str, unit: str, *, more: bool = False, **extra: object
) -> Row:
    """A row of alternate rounds (ours, peer); with `more` the greater figure is the better one."""
    mine, other = ([pair[side] for pair in pairs] for side in (0, 1))
    return row(name, mine, other, peer, unit, less=not more, **extra)


def rows(quick: bool) -> Iterator[Row]:
    """Every row; files in memory where the host has such a file system, the ledger on the disk."""
    memory = Path("/dev/shm")
    with contextlib.ExitStack() as stack:
        camera = stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None))
        state = stack.enter_context(tempfile.TemporaryDirectory())
        parts = [Path(camera) / part for part in ("tree", "frames", "bursts")]
        for part in parts[1:]:
            part.mkdir()
        make_tree(parts[0], FILES, DIRECTORIES)
        put_on_record(parts[0], Path(state) / "tree")
        yield from rescans(parts[0], Path(state) / "tree", 3 if quick else 9)
        yield from latencies(parts[1], Path(state) / "frames", QUICK_FRAMES if quick else FRAMES, 1 if quick else 3)
        yield from bursts(parts[2], Path(state) / "bursts", 1 if quick else 3)


def main() -> None:
    """Run the rows and print one object each."""
    arguments = parser(__doc__, "fewer rounds, within 45 s").parse_args()
    show_all(rows(arguments.quick), arguments)


if __name__ == "__main__":
    main()
