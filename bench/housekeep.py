"""The housekeeper end to end: CPU seconds of the whole daemon for each second of 1,000 parameters at 1 Hz.

Run as `python bench/housekeep.py [--quick] [--json]`. A file of 1,000 columns grows by a row a second (in real time),
while the real daemon follows it: parsing, limits of every parameter, metrics spool, last values and history. Its CPU
time comes from /proc, without its start. The peer does only a part of the work, as scripts do it: the csv module, one
`Point` of influxdb-client for each value, appended to a file as line protocol; no limits, no positions, no daemon.
`housekeep.catch_up` is the same with rows that lie there already: values per CPU second.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rig.command import parser, show_all
from rig.processes import start, stop
from rig.rows import Row, row

PARAMETERS = 1000
T0 = int(time.time()) - 40_000
TICKS = os.sysconf("SC_CLK_TCK")


def table(first: int, rows: int, seed: int = 1) -> str:
    """Lines of the file: Unix time and 1,000 values with two decimals."""
    rng = np.random.default_rng(seed + first)
    values = 20 + rng.normal(0, 0.5, (rows, PARAMETERS))
    return "".join(
        f"{T0 + first + number},{','.join(f'{value:.2f}' for value in line)}\n" for number, line in enumerate(values)
    )


def header() -> str:
    """The first line."""
    return "time," + ",".join(f"hk_{number:04d}" for number in range(PARAMETERS)) + "\n"


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wait_for(path: Path, rows: int, limit_s: float = 60.0) -> None:
    """Wait until the daemon's own store says that so many rows are safe."""
    from services.housekeeping.store import StoreUnreachable, open_store

    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            store = open_store(path, readonly=True)
        except StoreUnreachable:
            time.sleep(0.1)
            continue
        last = store.last()
        store.close()
        if last and last[0].time_ns >= (T0 + rows - 1) * 10**9:
            return
        time.sleep(0.1)
    raise SystemExit("the housekeeper does not keep up")


class Daemon:
    """The real daemon on a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.file = root / "hk" / "hk.csv"
        self.file.parent.mkdir(parents=True)
        self.file.write_text(header())
        self.store = root / "state" / "housekeeping.sqlite"
        rule = {"warning": [0, 40], "error": [-10, 50], "rate": {"warning": 10}, "stale_s": 100_000}
        limits = {"defaults": rule, "sources": {"bench": {"parameters": {"hk_*": {}}}}}
        (root / "limits.yaml").write_text(json.dumps(limits))
        source = {"kind": "csv", "dir": str(self.file.parent), "time_format": "unix_s"}
        settings = {
            "site": "bench",
            "state_dir": str(root / "state"),
            "ledger": {"url": f"sqlite:///{root}/ledger.sqlite"},
            "housekeep": {"sources": {"bench": source}, "limits": str(root / "limits.yaml")},
        }
        (root / "site.yaml").write_text(json.dumps(settings))
        self._log = (root / "log").open("w")
        command = [sys.executable, "-m", "services.cli.main", "housekeep", "-c", root / "site.yaml"]
        self._process = start(command, stderr=self._log, cwd=Path(__file__).resolve().parent.parent)
        self.pid = self._process.pid

    def append(self, text: str) -> None:
        """Let the file grow."""
        with self.file.open("a") as file:
            file.write(text)

    def end(self) -> None:
        """Stop it."""
        stop(self._process)
        self._log.close()


def live(root: Path, seconds: int) -> list[float]:
    """CPU seconds of the daemon for each second of data, in stretches of five seconds."""
    daemon = Daemon(root)
    found: list[float] = []
    try:
        daemon.append(table(0, 2))
        wait_for(daemon.store, 2)
        number = 2
        for _ in range(seconds // 5):
            before, begun = cpu_s(daemon.pid), time.monotonic()
            for step in range(5):
                daemon.append(table(number, 1))
                number += 1
                time.sleep(max(0.0, begun + step + 1 - time.monotonic()))
            found.append((cpu_s(daemon.pid) - before) / 5)
        wait_for(daemon.store, number)
    finally:
        daemon.end()
    return found


def catch_up(root: Path, rows: int) -> float:
    """Values per CPU second when a file of so many rows is there at once."""
    daemon = Daemon(root)
    try:
        daemon.append(table(0, 2))
        wait_for(daemon.store, 2)
        before = cpu_s(daemon.pid)
        daemon.append(table(2, rows))
        wait_for(daemon.store, rows + 2)
        return rows * PARAMETERS / (cpu_s(daemon.pid) - before)
    finally:
        daemon.end()


def peer(path: Path, lines: Sequence[str]) -> float:
    """CPU seconds of the peer for each row."""
    from influxdb_client import Point, WritePrecision

    names = header().strip().split(",")[1:]
    begun = time.process_time()
    with path.open("a") as file:
        for line in lines:
            when, *cells = next(csv.reader([line]))
            made = [
                Point("housekeeping").tag("source", "bench").tag("parameter", name).field("value", float(cell))
                .time(int(when) * 10**9, WritePrecision.NS).to_line_protocol()
                for name, cell in zip(names, cells, strict=True)
            ]  # fmt: skip
            file.write("\n".join(made))
    return (time.process_time() - begun) / len(lines)


def measure(root: Path, *, quick: bool) -> Iterator[Row]:
    """All rows."""
    rounds, seconds, many = (2, 10, 300) if quick else (3, 20, 2000)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        ours += live(root / f"live{number}", seconds)
        theirs += [peer(root / "peer", table(0, 5).splitlines()) for _ in range(3)]
    percent = ([100 * value for value in values] for values in (ours, theirs))
    yield row("housekeep.1000at1hz", *percent, "csv + Point", "% of a core", less=True, parameters=PARAMETERS)
    rates: list[float] = []
    peers: list[float] = []
    for number in range(rounds):
        rates.append(catch_up(root / f"all{number}", many))
        peers.append(PARAMETERS / peer(root / "peer", table(0, 5).splitlines()))
        shutil.rmtree(root / f"all{number}")
    yield row("housekeep.catch_up", rates, peers, "csv + Point", "values/s")


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "fewer seconds; below 45 s").parse_args()
    with tempfile.TemporaryDirectory() as name:
        show_all(measure(Path(name), quick=options.quick), options)


if __name__ == "__main__":
    main()
