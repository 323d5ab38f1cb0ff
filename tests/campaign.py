"""A random night: frames come while daemons are killed, lines are cut, modes are switched and files are spoilt."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from services.core.ledger.engine import now
from services.core.ledger.route_values import drop_values, set_value
from services.core.settings import load_settings
from services.retry import retry_all
from tests.fixtures.cutter import Cutter
from tests.site import Site

DAEMONS = ("watch", "ship", "receive")


class Campaign:
    """What may happen; every step is drawn from the seed and noted in `story`.

    Raw frames are never touched: that is the one thing that the camera's side promises.
    """

    def __init__(self, site: Site, cutter: Cutter, frames: list[Path], seed: int) -> None:
        self.site = site
        self.cutter = cutter
        self.to_come = list(frames)
        self.there: list[Path] = []
        self.random = random.Random(seed)
        self.story: list[str] = []
        self.sent: dict[str, bytes] = {}

    def play(self, steps: int) -> None:
        """So many random steps; all frames have come at the end."""
        for verb in DAEMONS:
            self.site.start(verb)
        doings: list[Callable[[], None]] = [
            *([self.frames_come] * 4),
            *([self.daemon_dies] * 2),
            self.daemon_restarts,
            self.mode_is_switched,
            self.mode_is_switched,
            self.lines_are_cut,
            self.line_falls_silent,
            self.packed_copy_is_spoilt,
            self.inbox_is_away,
            self.person_retries,
            self.frame_is_doubled,
        ]
        for _ in range(steps):
            doing = self.random.choice(doings)
            self.story.append(f"{doing.__name__}")
            doing()
            time.sleep(self.random.uniform(0.0, 0.3))
        while self.to_come:
            self.frames_come()

    def end_well(self, timeout_s: float) -> None:
        """The faults are over: everything must arrive."""
        self.cutter.limit, self.cutter.silent = None, False
        with self.site.ledger("summit").begin() as conn:
            drop_values(conn, "centre", None, now())
        for verb in DAEMONS:
            self._restart(verb, signal.SIGTERM)

        def all_through() -> bool:
            if int(time.monotonic()) % 5 == 0:
                self.person_retries()
            return self.site.count("summit", "shipped") == len(self.sent)

        self.site.wait(all_through, f"end of the campaign after {self.story}", timeout_s)

    def frames_come(self) -> None:
        """A few frames, each written in one of the ways cameras and copy programs do it."""
        for _ in range(min(len(self.to_come), self.random.randint(1, 8))):
            source = self.to_come.pop()
            data = source.read_bytes()
            self.sent[source.name] = data
            target = self.site.camera / self.random.choice(["", "a", "b/c"]) / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            way = self.random.choice(["written", "renamed", "halves"])
            if way == "written":
                target.write_bytes(data)
            elif way == "renamed":
                hidden = target.with_name(f".{target.name}.Ab12Cd")
                hidden.write_bytes(data)
                hidden.rename(target)
            else:
                cut = self.random.randrange(len(data))
                target.write_bytes(data[:cut])
                time.sleep(0.02)
                with target.open("ab") as file:
                    file.write(data[cut:])
            self.there.append(target)

    def daemon_dies(self) -> None:
        """SIGKILL, and systemd starts it again."""
        self._restart(self.random.choice(DAEMONS), signal.SIGKILL)

    def daemon_restarts(self) -> None:
        """An update in mid-night."""
        self._restart(self.random.choice(DAEMONS), signal.SIGTERM)

    def mode_is_switched(self) -> None:
        """`nightferry route set`."""
        mode = self.random.choice(["batch", "serial", "parallel", "auto", "endofnight"])
        values = {"mode": mode, "streams": self.random.randint(1, 4), "batch_frames": self.random.randint(1, 6)}
        if mode == "endofnight":
            values["drain"] = int(now())
        with self.site.ledger("summit").begin() as conn:
            for key, value in values.items():
                set_value(conn, "centre", key, value, now())

    def lines_are_cut(self) -> None:
        """Every line dies after a random number of bytes, for a while."""
        self.cutter.limit = self.random.randint(0, 60_000)
        self.cutter.cut_now()
        time.sleep(self.random.uniform(0.1, 0.6))
        self.cutter.limit = None

    def line_falls_silent(self) -> None:
        """Nothing comes through for longer than the time-out."""
        self.cutter.silent = True
        time.sleep(self.random.uniform(0.2, 2.0))
        self.cutter.silent = False

    def packed_copy_is_spoilt(self) -> None:
        """A bit flips, or a file is lost, in a spool directory."""
        places = [self.site.state / "outbox", self.site.centre / "inbox"]
        found = [path for place in places for path in sorted(place.rglob("*")) if path.suffix in (".nfb", ".part")]
        if not found:
            return
        path = self.random.choice(found)
        try:
            if self.random.random() < 0.3:
                path.unlink()
                return
            with path.open("r+b") as file:
                size = path.stat().st_size
                file.seek(self.random.randrange(max(1, size)))
                file.write(b"\xa5")
        except FileNotFoundError:
            return  # it has moved on meanwhile

    def inbox_is_away(self) -> None:
        """The remote's disk is not there for a moment."""
        inbox, away = self.site.centre / "inbox", self.site.centre / "inbox-away"
        if not inbox.is_dir():
            return
        inbox.rename(away)
        time.sleep(self.random.uniform(0.0, 0.4))
        if inbox.is_dir():  # a sender has made a new one meanwhile: the old one's files go there
            for path in list(away.iterdir()):
                path.replace(inbox / path.name)
            away.rmdir()
        else:
            away.rename(inbox)

    def person_retries(self) -> None:
        """`nightferry retry`."""
        retry_all(load_settings(self.site.root / "summit.yaml"), self.site.ledger("summit"), None)

    def frame_is_doubled(self) -> None:
        """The same content under a second name is one frame."""
        if self.there:
            source = self.random.choice(self.there)
            shutil.copy(source, self.site.camera / f"copy-of-{source.name}")

    def _restart(self, verb: str, number: int) -> None:
        if verb in self.site.daemons:
            self.site.stop(verb, number, timeout_s=15.0)
        self.site.start(verb)
