"""A race: ours and its peers send the same bytes to the same place, alternately, each bounded in time."""

from __future__ import annotations

import filecmp
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig.frames import random_files
from rig.peers import Job, Peer
from rig.processes import Outcome, run_all
from rig.rows import Row, row
from rig.server import Far
from rig.steering import Senders


@dataclass
class Contender:
    """One who runs, how often, and what came of it: MB/s of the runs, what went wrong."""

    name: str
    key: str
    go: Callable[[float], Outcome]  # the limit in seconds → how it ended
    turns: int
    sent: Path  # the directory whose files must be at the target afterwards
    missing: str | None = None
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    note: str | None = None


@dataclass(frozen=True)
class Course:
    """Where is raced: the far side, where files land, and a directory for the peers' lists."""

    far: Far
    target: Path
    scratch: Path

    def ours(self, senders: Senders, source: Path, turns: int, *, warm: bool = True, name: str = "ours") -> Contender:
        """Our remote, or paramiko's `put`, on the files of a directory."""

        def go(limit_s: float) -> Outcome:
            if not warm:
                senders.disconnect()
            return senders.send(listed(source), limit_s)

        return Contender(name, "paramiko", go, turns, source, senders.error)

    def peer(self, peer: Peer, source: Path, turns: int, *, warm: bool = True) -> Contender:
        """A program on the files of a directory."""
        job = Job(self.far, source, self.target, self.scratch, warm and peer.masters > 0)

        def go(limit_s: float) -> Outcome:
            return run_all([[*self.far.near, *command] for command in peer.commands(job)], limit_s)

        return Contender(peer.name, peer.key, go, turns, source, peer.missing)


def listed(source: Path) -> list[tuple[Path, str]]:
    """Files of a directory with their names."""
    return [(path, path.name) for path in sorted(source.iterdir())]


def warm_up(place: Course, senders: Sequence[Senders]) -> None:
    """Let every sender connect, by sending something."""
    source = place.scratch / "warm"
    random_files(source, 16, 0.01)
    place.target.mkdir()
    for sender in senders:
        sender.send(listed(source), 60.0)
    shutil.rmtree(source)


def race(target: Path, contenders: Sequence[Contender], megabytes: float, limit_s: float) -> None:
    """Let everyone run, in turn; the figures go into the contenders.

    Parameters
    ----------
    megabytes
        What a whole run is worth (10^6 bytes).
    limit_s
        A run that takes longer is stopped; its rate is what had arrived by then over the time.
    """
    for turn in range(max(each.turns for each in contenders)):
        for each in contenders:
            if turn < each.turns and each.missing is None:
                _empty(target)
                _run(target, each, megabytes, limit_s)
    _empty(target)


def _run(target: Path, runner: Contender, megabytes: float, limit_s: float) -> None:
    outcome = runner.go(limit_s)
    if outcome.error is not None:
        runner.note = f"failed: {outcome.error}"
        return
    if outcome.cut:
        moved = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
        runner.note = f"stopped at {outcome.seconds:.0f} s, {moved:.0f} MB there"
        moved = min(moved, megabytes)
    elif wrong := _differs(runner.sent, target):
        runner.note = f"failed: {wrong} is not there as it was sent"
        return
    else:
        moved = megabytes
    runner.rates.append(moved / outcome.seconds)
    runner.seconds.append(outcome.seconds)


def _differs(source: Path, target: Path) -> str | None:
    names = [path.name for path in source.iterdir()]
    _, wrong, unread = filecmp.cmpfiles(source, target, names, shallow=False)
    return next(iter([*wrong, *unread]), None)


def _empty(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)


def rows(name: str, ours: Contender, peers: Sequence[Contender], unit: str = "MB/s", **more: Any) -> list[Row]:
    """The row against the first peer under the name itself, the others' under `name.KEY`."""
    made = []
    for number, peer in enumerate(peers):
        label = name if number == 0 else f"{name}.{peer.key}"
        notes = {"ours_note": ours.missing or ours.note, "note": peer.missing or peer.note, **more}
        made.append(row(label, ours.rates, peer.rates, peer.name, unit, **notes))
    return made


def median_s(runner: Contender) -> float | None:
    """Seconds of the median run."""
    return round(statistics.median(runner.seconds), 3) if runner.seconds else None
