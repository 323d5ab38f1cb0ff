"""Latency: from the close of a frame to its receipt in the shipper's hands, with the real daemons.

Run as `python bench/latency.py [--quick] [--json] [--only PREFIX]`. `nightferry watch`, `ship` and `receive` run as
processes, over a real sshd, on loopback and (as root) on the emulated link; per mode of the route, with nothing else
waiting, and with 500 frames waiting. Figures are milliseconds, the median in `ours`. See docs/benchmarks.md.
"""

from __future__ import annotations

import contextlib
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rig.command import in_memory, parser, show_all
from rig.frames import simcam_frames
from rig.latency_peer import LIMIT_S, Setting, rsync_ms
from rig.link import Shape, emulated, missing
from rig.rows import Row, row
from rig.server import far_side, masters
from rig.site import Site, Steps, modes

NAME = "latency.close_to_receipt"
# The rest is as it comes. `flush_s`: how long mode batch waits for company; `live_s`: what is older is backlog.
FLUSH_S = 1.0
LIVE_S = 20.0  # longer than a live frame takes on the long link behind a window of the backlog
STEPS = ("packed", "received", "known")
PEER = "rsync + sha256sum over warm ssh"


@dataclass(frozen=True)
class Plan:
    """Frames timed per row, frames of a backlog, pixels of the large frame."""

    frames: int = 20
    far_frames: int = 10
    backlog: int = 500
    large: tuple[int, int] | None = (2048, 4096)
    links: bool = True  # the emulated link too
    modes: tuple[str, ...] = ()  # these only; empty for all


@dataclass
class Bench:
    """What is needed everywhere: a directory, the frames left to use, and what was asked for."""

    work: Path
    plan: Plan
    only: str
    stock: list[Path]

    def wants(self, name: str) -> bool:
        """Whether a row of this name was asked for."""
        return name.startswith(self.only)


def expose(site: Site, frame: Path) -> tuple[str, float]:
    """Write a frame as a camera does: open, write, close; its name and when it was closed."""
    data = frame.read_bytes()
    with (site.camera / frame.name).open("wb") as file:
        file.write(data)
    return frame.name, time.time()


@contextlib.contextmanager
def site_in(bench: Bench, setting: Setting, mode: str) -> Iterator[tuple[Site, Path]]:
    """A fresh site and a scratch directory; the daemons are ended and the files removed."""
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=bench.work)))
        site = Site(root / "site", setting.far, setting.link, mode=mode, flush_s=FLUSH_S, live_s=LIVE_S)
        stack.callback(site.close)
        yield site, root


def wait_for(site: Site, names: Sequence[str]) -> None:
    """Until there is a receipt for each of these frames."""
    site.wait(lambda: set(names) <= site.receipts().keys(), LIMIT_S, f"receipts for {', '.join(names)}")


def idle(bench: Bench, setting: Setting, mode: str, stock: Sequence[Path], name: str) -> Row:
    """One frame after the other, each alone; ours and the peer take turns."""
    draw = random.Random(1)
    with site_in(bench, setting, mode) as (site, scratch):
        site.start("watch", "receive", "ship")
        wait_for(site, [expose(site, stock[0])[0]])
        closed: dict[str, float] = {}
        theirs = []
        for frame in stock[1:]:
            time.sleep(draw.uniform(0.2, 1.2))  # not in step with anybody's polling
            sent, closed_at = expose(site, frame)
            wait_for(site, [sent])
            closed[sent] = closed_at
            theirs.append(rsync_ms(setting, [frame], scratch))
    return timed_row(name, steps_ms(closed, site.receipts()), theirs, setting.words)


def backlog(bench: Bench, setting: Setting, mode: str, stock: Sequence[Path], name: str) -> Row:
    """New frames while others wait: the route was down, frames piled up, and it is back."""
    waiting, fresh = stock[: bench.plan.backlog], stock[bench.plan.backlog :]
    with site_in(bench, setting, mode) as (site, scratch):
        site.start("watch", "receive")
        for frame in waiting:
            expose(site, frame)
        site.wait(lambda: site.seen() >= len(waiting), LIMIT_S, "the backlog is seen")
        time.sleep(LIVE_S + FLUSH_S + 1)  # until it is packed, and no longer live
        bundles = site.waiting()
        site.start("ship")
        site.wait(site.receipts, LIMIT_S, "a first receipt")
        closed: dict[str, float] = {}
        left = []
        for frame in fresh:
            left.append(site.waiting())
            sent, closed_at = expose(site, frame)
            if left[-1] > 0:
                closed[sent] = closed_at
            time.sleep(0.25)
        wait_for(site, list(closed))
        receipts = site.receipts()
        theirs = [rsync_ms(setting, [*waiting, fresh[0]], scratch)]
    more = {"bundles_waiting": bundles, "left_at_close": [min(left), max(left)]}
    steps = steps_ms(closed, receipts)
    return timed_row(name, steps, theirs, setting.words, "rsync of all + sha256sum", **more)


def steps_ms(closed: dict[str, float], receipts: dict[str, Steps]) -> dict[str, list[float]]:
    """Milliseconds from the close of each frame to each step."""
    found = [(at, receipts[name]) for name, at in closed.items()]
    return {step: [1000 * (getattr(steps, step) - at) for at, steps in found] for step in STEPS}


def timed_row(
    name: str, steps: dict[str, list[float]], theirs: Sequence[float], words: str, peer: str = PEER, **more: Any
) -> Row:
    """A row of milliseconds, less is better; with the medians of the steps on the way."""
    ours = steps["known"]
    p95 = {
        f"{who}_p95": round(statistics.quantiles(values, n=20, method="inclusive")[-1], 1) if len(values) > 1 else None
        for who, values in (("ours", ours), ("peer", theirs))
    }
    medians = {step: round(statistics.median(values)) for step, values in steps.items() if values}
    return row(name, ours, theirs, peer, "ms", less=True, **p95, steps=medians, link=words, **more)


def measure(bench: Bench, setting: Setting) -> Iterator[Row]:
    """All rows of one link."""
    plan = bench.plan
    for mode in (mode for mode in modes() if mode in (plan.modes or modes())):
        name = f"{NAME}.{setting.name}.{mode}"
        if setting.name == "loopback" and mode == "serial":
            name = NAME
        if bench.wants(name):
            yield idle(bench, setting, mode, bench.stock[: setting.samples + 1], name)
        if plan.backlog and bench.wants(f"{name}.backlog"):
            yield backlog(bench, setting, mode, bench.stock[: plan.backlog + setting.samples], f"{name}.backlog")
    name = f"{NAME}.{setting.name}.large"
    if plan.large and bench.wants(name):
        with tempfile.TemporaryDirectory(dir=bench.work) as directory:
            mode = "serial" if "serial" in modes() else modes()[0]
            yield idle(bench, setting, mode, simcam_frames(Path(directory), 6, *plan.large), name)


def settings(bench: Bench) -> Iterator[Setting]:
    """Loopback, then the emulated link where there can be one."""
    with contextlib.ExitStack() as stack:
        far = stack.enter_context(far_side(bench.work / "near", None))
        stack.enter_context(masters(far, [0]))()
        yield Setting("loopback", far, None, bench.plan.frames, "loopback")
    if not bench.plan.links:
        return
    if why := missing():
        print(f"no long link: {why}; only the loopback rows are measured", file=sys.stderr)
        return
    shape = Shape()
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(emulated(bench.work, shape))
        far = stack.enter_context(far_side(bench.work / "far", link))
        stack.enter_context(masters(far, [0]))()
        yield Setting("wan", far, link, bench.plan.far_frames, f"{shape}, {link.congestion}")


def main() -> None:
    """Measure and print each row as soon as it is known."""
    known = parser(__doc__, "few frames, no backlog; below 45 s", whole=True)
    known.add_argument("--only", default="latency", metavar="PREFIX", help="only rows whose name begins so")
    options = known.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything made is removed
    plan = Plan(4, 1, 0, None, True, ("serial",)) if options.quick else Plan()
    with in_memory("nf-late-") as work:
        stock = simcam_frames(work / "stock", plan.backlog + plan.frames + 1, 64, 64)
        bench = Bench(work, plan, options.only, stock)
        try:
            for setting in settings(bench):
                show_all(measure(bench, setting), options)
        except KeyboardInterrupt:
            print("stopped; everything made is removed again", file=sys.stderr)
            sys.exit(130)


if __name__ == "__main__":
    main()
