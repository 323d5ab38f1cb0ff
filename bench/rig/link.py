"""An emulated link: two network namespaces with `wan` between them. Everything made is removed again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rig.processes import start, stop

SOURCE = Path(__file__).resolve().parent.parent / "wan.c"
NEAR, FAR = "10.203.0.1", "10.203.0.2"


@dataclass(frozen=True)
class Shape:
    """What the link is like; the buffer is the bottleneck's, per direction."""

    round_trip_ms: float = 250.0
    rate_mbit: float = 200.0
    loss_percent: float = 0.0
    buffer_ms: float = 250.0

    def __str__(self) -> str:
        return (
            f"{self.round_trip_ms:g} ms, {self.rate_mbit:g} Mbit/s, {self.loss_percent:g} % loss, "
            f"buffer {self.buffer_ms:g} ms"
        )


@dataclass(frozen=True)
class Link:
    """Words to put before a command so that it runs at the near or the far end, and the far end's address."""

    near: tuple[str, ...]
    far: tuple[str, ...]
    address: str
    congestion: str  # the congestion control that a program gets that does not ask for one


def missing() -> str | None:
    """Why there can be no emulated link on this host, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "cc"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return None if Path("/dev/net/tun").exists() else "there is no /dev/net/tun"


@contextlib.contextmanager
def emulated(work: Path, shape: Shape, congestion: str | None = None) -> Iterator[Link]:
    """A link of this shape, made now and removed at the end.

    Raises
    ------
    SystemExit
        The kernel or a tool refuses; its own words are in the message.
    """
    tag = f"nf{os.getpid()}"
    spaces = (f"{tag}-near", f"{tag}-far")
    taps = (f"{tag}a", f"{tag}b")
    program = work / "wan"
    if not program.exists():
        _run("cc", "-O2", "-o", str(program), str(SOURCE))
    numbers = (shape.round_trip_ms / 2, shape.rate_mbit, shape.loss_percent, shape.buffer_ms)
    with contextlib.ExitStack() as undo:
        for space in spaces:
            _run("ip", "netns", "add", space)
            undo.callback(_remove, space)
        wan = start([program, *taps, *map(str, numbers)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        undo.callback(stop, wan)
        assert wan.stdout is not None
        if wan.stdout.readline().strip() != "up":
            raise SystemExit("the emulated link does not come up: /dev/net/tun cannot be used")
        for space, tap, address in zip(spaces, taps, (NEAR, FAR), strict=True):
            _configure(space, tap, address, congestion)
        # Losses must not hit address resolution: its retries are slow and no part of what is measured.
        _meet(spaces[0], taps[0], FAR, spaces[1], taps[1])
        _meet(spaces[1], taps[1], NEAR, spaces[0], taps[0])
        used = _run("ip", "netns", "exec", spaces[0], "sysctl", "-n", "net.ipv4.tcp_congestion_control").strip()
        near, far = (("ip", "netns", "exec", space) for space in spaces)
        yield Link(near, far, FAR, used)


def _configure(space: str, tap: str, address: str, congestion: str | None) -> None:
    _run("ip", "link", "set", tap, "netns", space)
    _run("ip", "-n", space, "link", "set", "lo", "up")
    _run("ip", "-n", space, "address", "add", f"{address}/30", "dev", tap)
    # A long device queue: the bottleneck is in `wan`, nowhere else.
    _run("ip", "-n", space, "link", "set", tap, "up", "mtu", "1500", "txqueuelen", "10000")
    # The kernel remembers how fast a destination was; every run must find it out for itself.
    words = ["net.ipv4.tcp_no_metrics_save=1"]
    if congestion is not None:
        words.append(f"net.ipv4.tcp_congestion_control={congestion}")
    _run("ip", "netns", "exec", space, "sysctl", "-q", "-w", *words)


def _meet(space: str, tap: str, other: str, other_space: str, other_tap: str) -> None:
    """A fixed neighbour entry for the other end."""
    words = _run("ip", "-n", other_space, "-br", "link", "show", "dev", other_tap).split()
    _run("ip", "-n", space, "neigh", "replace", other, "lladdr", words[2], "dev", tap, "nud", "permanent")


def _remove(space: str) -> None:
    """End what still runs in a namespace of ours, and the namespace."""
    pids = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=False)
    for pid in pids.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
