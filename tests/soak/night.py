"""What happens at the telescope: frames, housekeeping in three ways, values out of their limits and back."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from processors.simulator.night import simulate_night
from processors.simulator.options import NightOptions
from tests.site import TINY
from tests.soak.servers import Servers
from tests.soak.settings import PUSH_TOKEN

_FIRST_NIGHT = dt.date(2026, 1, 15)
_KEPT_NIGHTS = 12  # of frames on the camera's disk
_FILE_S = 120.0  # of a file of housekeeping
_FILES_KEPT = 6
PARAMETERS = ("mail", "sms", "muted", "flap", *(f"p{number:02d}" for number in range(20)))


class Written(NamedTuple):
    """A frame as the camera wrote it."""

    night: str
    sha256: str
    obstype: str


@dataclass
class Night:
    """Writes frames and housekeeping; `frames` and `rows` are what must be found again."""

    root: Path
    servers: Servers
    push_port: int
    begin: float = field(default_factory=time.time)
    frames: dict[str, Written] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=lambda: {"bench": 0, "dome": 0, "weather": 0})
    nights: int = 0
    camera_off: bool = False
    quiet: bool = False  # every value stays within its limits
    _waiting: list[tuple[str, Path, str, str]] = field(default_factory=list)
    _unsent: dict[str, list[str]] = field(default_factory=lambda: {"dome": [], "weather": []})
    _file: Path | None = None
    _file_since: float = 0.0

    def night_name(self, back: int = 0) -> str:
        """The night that is played, or one so many before it."""
        return (_FIRST_NIGHT + dt.timedelta(days=self.nights - 1 - back)).strftime("%Y%m%d")

    @property
    def over(self) -> bool:
        """Whether the last night has all its frames."""
        return not self._waiting

    @property
    def unsent(self) -> int:
        """Rows that could not be handed over yet."""
        return sum(len(lines) for lines in self._unsent.values())

    def write_frame(self) -> None:
        """The camera writes the next frame of a night of eight; old nights are taken from its disk."""
        if self.camera_off:
            return
        if not self._waiting:
            self.nights += 1
            options = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__}
            made = NightOptions(**{**options, "night": self.night_name(), "science_s": 1.0, "flat_s": 1.0})
            self._waiting = [
                (made.night, frame.path, frame.sha256, str(frame.identity["obstype"]))
                for frame in simulate_night(self.root / "simulated" / made.night, made)
            ]
            for name in [name for name, frame in self.frames.items() if frame.night == self.night_name(_KEPT_NIGHTS)]:
                (self.root / "camera" / name).unlink(missing_ok=True)
        night, path, sha256, obstype = self._waiting.pop(0)
        self.frames[path.name] = Written(night, sha256, obstype)
        path.rename(self.root / "camera" / path.name)

    def write_row(self) -> None:
        """A row of a file that grows; a new file now and then, of which the newest are kept."""
        now = time.time()
        if self._file is None or now - self._file_since > _FILE_S:
            self._file, self._file_since = self.root / "hk" / f"bench_{int(now)}.csv", now
            self._file.write_text(",".join(("time", *PARAMETERS)) + "\n")
            for old in sorted((self.root / "hk").glob("*.csv"))[:-_FILES_KEPT]:
                old.unlink()
        number = self.rows["bench"]
        values = [self._value(name, now - self.begin, number) for name in PARAMETERS]
        with self._file.open("a") as file:
            file.write(f"{now:.6f}," + ",".join(f"{value:g}" for value in values) + "\n")
        self.rows["bench"] += 1

    def _value(self, name: str, t: float, number: int) -> float:
        if name.startswith("p"):
            return 20 + (number * 7919 + int(name[1:]) * 104_729) % 1000 / 500
        out = {
            "mail": 10 <= t % 60 < 30,
            "sms": 30 <= t % 90 < 55,
            "muted": 5 <= t % 45 < 20,
            "flap": t % 300 < 90 and t % 8 < 4,
        }
        return 80.0 if out[name] and not self.quiet else 20.0

    def push_row(self) -> None:
        """A row by HTTP push, again until it is answered."""
        self._hand_over("dome", "az={0},slit=1", f"http://127.0.0.1:{self.push_port}/write")

    def write_weather(self) -> None:
        """A row into the database that the housekeeper asks."""
        self._hand_over("weather", "temp={0},hum=40", f"{self.servers.influx.native}/write?db=site")

    def _hand_over(self, source: str, fields: str, url: str) -> None:
        lines = self._unsent[source]
        lines.append(f"{source} {fields.format(20 + self.rows[source] % 5)} {time.time_ns()}")
        self.rows[source] += 1
        headers = {"Authorization": f"Token {PUSH_TOKEN}"} if source == "dome" else {}
        request = urllib.request.Request(url, data="\n".join(lines).encode(), headers=headers)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=3).close()
            lines.clear()
