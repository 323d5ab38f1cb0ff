"""Rows of the emulated long link."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rig.frames import decam_frames, random_files
from rig.link import Shape, emulated
from rig.peers import OTHERS, RSYNC, RSYNC4
from rig.processes import Outcome
from rig.race import Contender, Course, listed, median_s, race, rows, warm_up
from rig.rows import Row, row
from rig.server import far_side, masters
from rig.ship_plan import Bench
from rig.steering import Senders, running

STREAMS = 4  # connections of ours on a line that loses nothing (the default of a route)
STREAMS_LOSS = 8  # on one that loses packets, as mode `auto` ends up with
LOSSES = {"loss01": 0.1, "loss1": 1.0}  # percent


def wan(bench: Bench) -> Iterator[Row]:
    """Rows of the long link: without loss, then with."""
    names = ("big", "small", "tiny", "cold", "nfz")
    if any(bench.wants(f"ship.wan.{name}") for name in names):
        with course(bench, Shape()) as place:
            yield from without_loss(bench, *place)
    for name, percent in LOSSES.items() if bench.plan.everyone else ():
        if bench.wants(f"ship.wan.{name}"):
            with course(bench, Shape(loss_percent=percent)) as (place, sender, shape):
                yield from sized(bench, place, sender, f"ship.wan.{name}", "big", everyone=False, link=shape)
                yield from sized(bench, place, sender, f"ship.wan.{name}.small", "small", everyone=False, link=shape)


@contextlib.contextmanager
def course(bench: Bench, shape: Shape) -> Iterator[tuple[Course, Senders, str]]:
    """A link with an sshd behind it, ours and the shared ssh connections warm."""
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=bench.work)))
        link = stack.enter_context(emulated(bench.work, shape, bench.congestion))
        far = stack.enter_context(far_side(root / "far", link))
        streams = STREAMS_LOSS if shape.loss_percent else STREAMS
        sender = Senders(far, root / "in", "ours", streams=streams)
        shared = stack.enter_context(masters(far, range(4 if bench.plan.everyone else 1)))
        stack.enter_context(running([sender]))
        place = Course(far, root / "in", root)
        warm_up(place, [sender])
        shared()
        yield place, sender, f"{shape}, {link.congestion}, ours with {streams} streams"


def sized(
    bench: Bench, place: Course, sender: Senders, name: str, size: str, *, everyone: bool, link: str
) -> Iterator[Row]:
    """One row per peer for `big`, `small` or `sustained` files, connections warm."""
    asked: tuple[int, float] = getattr(bench.plan, size)
    source = place.scratch / size
    megabytes = random_files(source, *asked)
    turns = 1 if size == "sustained" else bench.plan.turns
    mine = place.ours(sender, source, turns)
    peers = [place.peer(RSYNC, source, turns)]
    if everyone:
        plain = Senders(place.far, place.target, "paramiko")
        peers += [place.peer(peer, source, 1) for peer in OTHERS]
        with running([plain]):
            plain.send([], 60.0)
            peers.append(place.ours(plain, source, 1, name="paramiko put"))
            race(place.target, [mine, *peers], megabytes, bench.plan.limit_s)
    else:
        if bench.plan.everyone and size != "sustained":
            peers.append(place.peer(RSYNC4, source, turns))
        race(place.target, [mine, *peers], megabytes, bench.plan.limit_s)
    shutil.rmtree(source)
    made = rows(name, mine, peers, link=link, files=f"{asked[0]} × {asked[1]:g} MB")
    for each, peer in zip(made, peers, strict=True):
        if size == "small":
            each |= {"ours_ms_per_file": per_file_ms(mine, asked[0]), "peer_ms_per_file": per_file_ms(peer, asked[0])}
        yield each


def per_file_ms(runner: Contender, files: int) -> float | None:
    """Milliseconds per file of the median run that was not stopped at the limit."""
    seconds = None if runner.note else median_s(runner)
    return round(1000 * seconds / files, 1) if seconds else None


def without_loss(bench: Bench, place: Course, sender: Senders, link: str) -> Iterator[Row]:
    """Rows of the link that loses nothing."""
    plan = bench.plan
    for size in ("big", "small"):
        if bench.wants(f"ship.wan.{size}") and not bench.only.endswith(".sustained"):
            yield from sized(bench, place, sender, f"ship.wan.{size}", size, everyone=plan.everyone, link=link)
    if plan.tiny and bench.wants("ship.wan.tiny"):
        yield from tiny(bench, place, sender, plan.tiny, link)
    if plan.sustained and bench.wants("ship.wan.big.sustained"):
        yield from sized(bench, place, sender, "ship.wan.big.sustained", "sustained", everyone=False, link=link)
    if plan.everyone and bench.wants("ship.wan.cold"):
        for megabytes in (50.0, 1.0):
            yield from cold(bench, place, sender, megabytes, link)
    if plan.decam and bench.wants("ship.wan.nfz"):
        yield from with_codec(bench, place, sender, plan.decam, link)


def tiny(bench: Bench, place: Course, sender: Senders, asked: tuple[int, float], link: str) -> Iterator[Row]:
    """What a file costs besides its bytes: milliseconds per file of many that are next to nothing."""
    source = place.scratch / "tiny"
    megabytes = random_files(source, *asked)
    mine, peer = place.ours(sender, source, bench.plan.turns), place.peer(RSYNC, source, bench.plan.turns)
    race(place.target, [mine, peer], megabytes, bench.plan.limit_s)
    shutil.rmtree(source)
    ours, theirs = ([1000 * seconds / asked[0] for seconds in each.seconds] for each in (mine, peer))
    notes = {"ours_note": mine.missing or mine.note, "note": peer.missing or peer.note, "link": link}
    files = f"{asked[0]} × {1000 * asked[1]:g} kB"
    yield row("ship.wan.tiny", ours, theirs, peer.name, "ms", less=True, files=files, **notes)


def cold(bench: Bench, place: Course, sender: Senders, size: float, link: str) -> Iterator[Row]:
    """One frame, nothing connected: seconds, ours in a running process, rsync from its start."""
    source = place.scratch / "cold"
    megabytes = random_files(source, 1, size)
    mine = place.ours(sender, source, bench.plan.turns, warm=False)
    peer = place.peer(RSYNC, source, bench.plan.turns, warm=False)
    race(place.target, [mine, peer], megabytes, bench.plan.limit_s)
    shutil.rmtree(source)
    notes = {"ours_note": mine.missing or mine.note, "note": peer.missing or peer.note, "link": link}
    yield row(f"ship.wan.cold.{size:g}mb", mine.seconds, peer.seconds, peer.name, "s", less=True, **notes)


def with_codec(bench: Bench, place: Course, sender: Senders, size: tuple[int, int], link: str) -> Iterator[Row]:
    """Raw bytes per second of DECam-like frames: packed with nfz and sent, against rsync of the raw files."""
    source, packed = place.scratch / "raw", place.scratch / "packed"
    megabytes = decam_frames(source, *size)

    def go(limit_s: float) -> Outcome:
        shutil.rmtree(packed, ignore_errors=True)
        begun = time.perf_counter()
        pack_all(source, packed)
        spent = time.perf_counter() - begun
        outcome = sender.send(listed(packed), limit_s - spent)
        return Outcome(outcome.seconds + spent, outcome.error, outcome.cut)

    mine = Contender("ours", "ours", go, bench.plan.turns, packed, sender.error)
    peers = [place.peer(RSYNC, source, bench.plan.turns)]
    race(place.target, [mine, *peers], megabytes, bench.plan.limit_s)
    on_wire = sum(path.stat().st_size for path in packed.iterdir()) / 1e6
    shutil.rmtree(source)
    shutil.rmtree(packed)
    yield from rows("ship.wan.nfz", mine, peers, link=link, raw_mb=round(megabytes), packed_mb=round(on_wire))


def pack_all(source: Path, outbox: Path) -> None:
    """Every frame a bundle of its own, as the watcher packs it."""
    from transfer.codecs.nfz import Nfz
    from transfer.pack import RawFrame, pack

    for path in sorted(source.iterdir()):
        pack(
            [RawFrame.of(path)],
            outbox,
            bundle=path.stem,
            site="bench",
            route="bench",
            codec=Nfz(threads=2),
            created=datetime.now(UTC),
            previous=None,
            software="bench",
        )
