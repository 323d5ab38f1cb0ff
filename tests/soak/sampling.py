"""What grows: a sample every ten seconds of every daemon, file, directory and table; the growth after warm-up."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis

STATES: Final = ("telescope/state", "centre/state")
_DATABASES: Final = ("ledger.sqlite", "metrics.sqlite", "housekeeping.sqlite")
_WARM_S: Final = 300.0  # of a daemon's life that are left out of the fits
_LEAST: Final = 12  # samples of a life that is fitted


def take(root: Path, costs: dict[str, dict[str, float]], frames: int, begin: float, redis_port: int) -> None:
    """Append a sample to `samples.jsonl`."""
    sample: dict[str, Any] = {"t": time.time() - begin, "frames": frames, "units": costs, "sizes": {}}
    sizes: dict[str, float] = sample["sizes"]
    for state in STATES:
        for path in (root / state).glob("*.sqlite*"):
            with contextlib.suppress(OSError):
                sizes[f"kB of {state}/{path.name}"] = path.stat().st_size / 1024
        for name in _DATABASES:
            sizes |= {f"rows of {state}/{name}:{table}": rows for table, rows in _rows(root / state / name)}
    for path in sorted([*(root / "telescope" / "state").glob("*"), *(root / "centre").iterdir(), root / "tmp"]):
        if path.is_dir():
            sizes[f"files in {path.relative_to(root)}"], sizes[f"kB in {path.relative_to(root)}"] = _tree(path)
    for log in (root / "logs").glob("*.log"):
        sizes[f"kB of logs/{log.name}"] = log.stat().st_size / 1024
    with contextlib.suppress(redis.RedisError):
        client = redis.Redis(port=redis_port)
        sizes |= {"keys of Redis": client.dbsize(), "clients of Redis": client.info()["connected_clients"]}
        client.close()
    with (root / "samples.jsonl").open("a") as file:
        file.write(json.dumps(sample) + "\n")


def _rows(path: Path) -> Iterator[tuple[str, int]]:
    if not path.exists():
        return
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            yield name, connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]


def _tree(root: Path) -> tuple[int, float]:
    number, size = 0, 0
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                number, size = number + 1, size + status.st_size
    return number, size / 1024


def report(root: Path, say: Callable[[str], None]) -> None:
    """Two tables: what each daemon's longest life cost, and what of files and tables has grown."""
    samples = [json.loads(line) for line in (root / "samples.jsonl").read_text().splitlines()]
    say("daemon        life s   anon MB         MB/h, 2nd half   threads   descriptors   CPU %, halves")
    for name, life in sorted(_longest_lives(samples).items()):
        say(_daemon_line(name, life))
    say(f"{'what':62} {'first':>10} {'last':>10} {'per frame':>10} {'2nd half':>10}")
    warm = [sample for sample in samples if sample["t"] > _WARM_S] or samples
    frames = np.array([sample["frames"] for sample in warm], dtype=float)
    for what in sorted({what for sample in warm for what in sample["sizes"]}):
        values = np.array([sample["sizes"].get(what, 0) for sample in warm], dtype=float)
        if np.ptp(values):
            half = len(values) // 2
            rates = [_per(values[part], frames[part]) for part in (slice(None), slice(half, None))]
            say(f"{what:62} {values[0]:10.0f} {values[-1]:10.0f} {rates[0]:10.3f} {rates[1]:10.3f}")


def _longest_lives(samples: list[dict[str, Any]]) -> dict[str, list[tuple[float, dict[str, float]]]]:
    lives: dict[tuple[str, float], list[tuple[float, dict[str, float]]]] = {}
    for sample in samples:
        for name, cost in sample["units"].items():
            if cost["age_s"] > _WARM_S:
                lives.setdefault((name, cost["pid"]), []).append((sample["t"], cost))
    longest: dict[str, list[tuple[float, dict[str, float]]]] = {}
    for (name, _), life in lives.items():
        if len(life) >= max(_LEAST, len(longest.get(name, ()))):
            longest[name] = life
    return longest


def _daemon_line(name: str, life: list[tuple[float, dict[str, float]]]) -> str:
    hours = np.array([t for t, _ in life]) / 3600
    get = {key: np.array([cost[key] for _, cost in life]) for key in ("anon", "threads", "descriptors", "cpu_s")}
    half = len(life) // 2
    anon, cpu = get["anon"], get["cpu_s"]
    grows = [np.polyfit(hours[part], anon[part], 1)[0] for part in (slice(None), slice(half, None))]
    ranges = [f"{get[key].min():.0f}-{get[key].max():.0f}, {get[key][-1]:.0f}" for key in ("threads", "descriptors")]
    share = [
        100 * (cpu[last] - cpu[first]) / (hours[last] - hours[first]) / 3600 for first, last in ((0, half), (half, -1))
    ]
    return (
        f"{name:13} {life[-1][1]['age_s']:6.0f}   {anon[0]:5.1f} to {anon[-1]:5.1f}  {grows[0]:6.1f} {grows[1]:6.1f}"
        f"   {ranges[0]:12} {ranges[1]:12} {share[0]:5.1f} {share[1]:5.1f}"
    )


def _per(values: np.ndarray, frames: np.ndarray) -> float:
    return float((values[-1] - values[0]) / max(1.0, frames[-1] - frames[0]))
