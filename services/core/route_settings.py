"""A destination and how frames go there: mode, codec, filter, priorities, bandwidth, back-pressure."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from services.core.secret import AbsolutePath, Section
from services.core.setting_types import PositiveSeconds, TimeOfDay, TimeZone

LOSSY: Final = frozenset({"hcompress", "jpeg2000"})  # as in transfer.codecs.registry, which would load the kernels
# What `nightferry route set` may change while the daemons run; the rest of a route is its settings file.
CHANGEABLE: Final = (
    "mode",
    "codec",
    "follow_up",
    "batch_frames",
    "batch_exposures",
    "flush_s",
    "streams",
    "transport",
    "paused",
)

Rate = Annotated[float, Field(ge=0.1, le=1e6, allow_inf_nan=False)]


def _remote_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("sftp", "file"):
        raise ValueError("expected sftp://user@host[:port]/path or file:///path")
    if parts.password is not None:
        raise ValueError("a password in the address is not allowed; sftp uses a key (key_file)")
    if not parts.path.startswith("/") or (parts.scheme == "sftp" and not parts.hostname):
        raise ValueError("expected sftp://user@host[:port]/path or file:///path")
    return url


class Match(Section):
    """Frames by what they are. Patterns as in a shell, in any case; every key that is given must match."""

    instrument: tuple[str, ...] = ()
    obstype: tuple[str, ...] = ()
    object: tuple[str, ...] = ()
    program: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not (self.instrument or self.obstype or self.object or self.program):
            raise ValueError("expected at least one of instrument, obstype, object, program")
        return self

    def holds(self, identity: Mapping[str, Any]) -> bool:
        """Whether a frame's identity (its JSON fields) matches."""
        for key in ("instrument", "obstype", "object", "program"):
            patterns = getattr(self, key)
            value = str(identity.get(key) or "").casefold()
            if patterns and not any(fnmatchcase(value, pattern.casefold()) for pattern in patterns):
                return False
        return True


class Hours(Section):
    """A part of the day (it may span midnight) and its limit in Mbit/s; none for unlimited."""

    start: TimeOfDay
    end: TimeOfDay
    mbit_s: Rate | None = None


class Bandwidth(Section):
    """How much of the link a route may use: `mbit_s`, and other limits for some hours of the day."""

    mbit_s: Rate | None = None
    time_zone: TimeZone = "UTC"
    hours: tuple[Hours, ...] = ()

    def limit_mbit_s(self, when: dt.datetime) -> float | None:
        """The limit at a time (aware), in Mbit/s, or None; the first part of the day that holds decides."""
        clock = when.astimezone(zoneinfo.ZoneInfo(self.time_zone)).strftime("%H:%M")
        for part in self.hours:
            inside = part.start <= clock < part.end
            if part.end <= part.start:
                inside = clock >= part.start or clock < part.end
            if inside:
                return part.mbit_s
        return self.mbit_s


class PressureRule(Section):
    """What to do when the receiver says that it is full or behind.

    `measure` is `free_gb`, `queue_depth` or `oldest_task_s` of the newest receipt; `action` is `pause`,
    `science_first` (calibrations wait) or `slow` (to `mbit_s`).
    """

    measure: Literal["free_gb", "queue_depth", "oldest_task_s"]
    above: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    below: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    action: Literal["pause", "science_first", "slow"]
    mbit_s: Rate | None = None

    @model_validator(mode="after")
    def _fits(self) -> PressureRule:
        if (self.above is None) == (self.below is None):
            raise ValueError("expected exactly one of 'above' and 'below'")
        if (self.action == "slow") != (self.mbit_s is not None):
            raise ValueError("'mbit_s' belongs to the action 'slow', which needs it")
        return self


class RouteSettings(Section):
    """A destination and how frames go there."""

    url: Annotated[str, AfterValidator(_remote_url)]
    mode: Literal["batch", "serial", "parallel", "endofnight", "auto"] = "batch"
    codec: Literal["nfz", "rice", "raw", "hcompress", "jpeg2000"] = "nfz"
    scale: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 4.0
    ratio: Annotated[float, Field(gt=1, le=1000, allow_inf_nan=False)] = 10.0
    follow_up: Literal["nfz", "rice", "raw", "none"] = "nfz"
    filter: Match | None = None
    priority: tuple[Match, ...] = ()
    paused: bool = False
    batch_frames: Annotated[int, Field(ge=1, le=1000)] = 4
    batch_exposures: Annotated[int, Field(ge=1, le=1000)] | None = None
    flush_s: PositiveSeconds = 30.0
    live_s: PositiveSeconds = 600.0
    ahead_bundles: Annotated[int, Field(ge=1, le=100_000)] = 500
    streams: Annotated[int, Field(ge=1, le=16)] = 4
    transport: Literal["paramiko", "openssh"] = "paramiko"
    bandwidth: Bandwidth = Bandwidth()
    pressure: tuple[PressureRule, ...] = ()
    key_file: AbsolutePath | None = None
    known_hosts: AbsolutePath | None = None
    timeout_s: PositiveSeconds = 30.0
    poll_s: PositiveSeconds = 2.0
    backoff_max_s: PositiveSeconds = 300.0
    max_attempts: Annotated[int, Field(ge=1, le=10_000)] = 20
    receipts: Literal["receiver", "readback"] = "receiver"
    receipt_overdue_s: PositiveSeconds = 900.0
    night_manifest: bool | None = None

    @model_validator(mode="after")
    def _address_fits(self) -> RouteSettings:
        if self.url.startswith("sftp:") and (self.key_file is None or self.known_hosts is None):
            raise ValueError("an sftp route needs 'key_file' and 'known_hosts'")
        if self.receipts == "readback" and not self.url.startswith("file:"):
            raise ValueError("'receipts: readback' is for disks (file:); behind sftp a receiver answers")
        return self

    @property
    def lossy(self) -> bool:
        """Whether the first copy of a frame is an approximation."""
        return self.codec in LOSSY

    @property
    def needs_lossless(self) -> bool:
        """Whether a frame is delivered only when its very pixels are."""
        return not self.lossy or self.follow_up != "none"

    @property
    def complete(self) -> bool:
        """Whether the end-of-night manifest goes there: everything does, losslessly, and somebody answers."""
        if self.night_manifest is not None:
            return self.night_manifest
        return self.filter is None and self.needs_lossless and self.receipts == "receiver"

    def wants(self, identity: Mapping[str, Any]) -> bool:
        """Whether a frame goes there at all."""
        return self.filter is None or self.filter.holds(identity)

    def codec_parameters(self) -> dict[str, float]:
        """Parameters of the quick-look codecs."""
        return {"hcompress": {"scale": self.scale}, "jpeg2000": {"ratio": self.ratio}}.get(self.codec, {})
