"""Rows of loopback, unshaped."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rig.frames import random_files
from rig.peers import RSYNC, SCP, SFTP
from rig.race import Course, race, rows, warm_up
from rig.rows import Row
from rig.server import far_side, masters
from rig.ship_plan import Bench
from rig.steering import Senders, running


def lan(bench: Bench) -> Iterator[Row]:
    """Rows of loopback, unshaped: both transports, one process and two, against the fastest peers."""
    if not bench.wants("ship.lan.big"):
        return
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=bench.work)))
        far = stack.enter_context(far_side(root / "far", None))
        place = Course(far, root / "in", root)
        kinds = {
            "ship.lan.big": Senders(far, place.target, "ours", transport="paramiko"),
            "ship.lan.big.openssh": Senders(far, place.target, "ours", transport="openssh"),
            "ship.lan.big.two": Senders(far, place.target, "ours", 2, transport="paramiko"),
            "ship.lan.big.two.openssh": Senders(far, place.target, "ours", 2, transport="openssh"),
        }
        plain = Senders(far, place.target, "paramiko")
        shared = stack.enter_context(masters(far, [0]))
        stack.enter_context(running([*kinds.values(), plain]))
        source = place.scratch / "lan"
        warm_up(place, [*kinds.values(), plain])
        shared()
        megabytes = random_files(source, *bench.plan.lan)
        turns = bench.plan.lan_turns
        mine = {name: place.ours(sender, source, turns) for name, sender in kinds.items()}
        peers = [place.peer(peer, source, turns) for peer in (RSYNC, SFTP, SCP)]
        peers.append(place.ours(plain, source, turns, name="paramiko put"))
        race(place.target, [*mine.values(), *peers], megabytes, bench.plan.limit_s)
        for name, runner in mine.items():
            yield from rows(name, runner, peers if name == "ship.lan.big" else peers[:1], link="loopback")
