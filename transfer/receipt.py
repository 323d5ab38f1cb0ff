"""The receiver's documents: Receipt and Arrival (docs/formats.md sections 1.2 and 1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from transfer.documents import MAX_FRAMES, Fields, dump, load, time_text

VERSION: Final = 2
ARRIVAL_VERSION: Final = 1
VERDICTS: Final = ("refused", "corrupt", "accepted", "duplicate")  # the worst first
GOOD: Final = ("accepted", "duplicate")


@dataclass(frozen=True, slots=True)
class FrameVerdict:
    """The receiver's word on a frame."""

    name: str
    sha256: str
    verdict: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver's word on a bundle."""

    bundle: str
    manifest_sha256: str
    verdict: str
    frames: tuple[FrameVerdict, ...]
    received: datetime
    free_bytes: int
    queue_depth: int | None
    oldest_task_s: float | None = None

    def to_json(self) -> bytes:
        """The document."""
        frames = [{"name": f.name, "sha256": f.sha256, "verdict": f.verdict, "reason": f.reason} for f in self.frames]
        return dump(
            {
                "kind": "receipt",
                "version": VERSION,
                "bundle": self.bundle,
                "manifest_sha256": self.manifest_sha256,
                "verdict": self.verdict,
                "frames": frames,
                "received": time_text(self.received),
                "free_bytes": self.free_bytes,
                "queue_depth": self.queue_depth,
                "oldest_task_s": self.oldest_task_s,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Receipt:
        """The receipt in a document; BadDocument names the path of what is wrong."""
        fields = load(data, "receipt", VERSION)
        receipt = cls(
            bundle=fields.bundle("bundle"),
            manifest_sha256=fields.hash("manifest_sha256"),
            verdict=fields.choice("verdict", VERDICTS),
            frames=tuple(
                _verdict(Fields(item, f"receipt.frames[{index}]"))
                for index, item in fields.many("frames", 0, MAX_FRAMES)
            ),
            received=fields.time("received"),
            free_bytes=fields.integer("free_bytes"),
            queue_depth=fields.optional("queue_depth", fields.integer),
            oldest_task_s=fields.optional("oldest_task_s", fields.number) if fields.version > 1 else None,
        )
        fields.done()
        if receipt.frames and receipt.verdict != worst([frame.verdict for frame in receipt.frames]):
            fields.refuse("verdict", "the worst of the frames'", receipt.verdict)
        return receipt


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the receiver tells the conductor about a frame: a hint, the ledger is the truth."""

    frame: str
    instrument: str
    night: str
    expid: int
    detectors: tuple[str, ...]
    obstype: str
    path: str
    arrived: datetime

    def to_json(self) -> bytes:
        """The document."""
        values = {key: getattr(self, key) for key in ("frame", "instrument", "night", "expid", "obstype", "path")}
        values |= {"detectors": list(self.detectors), "arrived": time_text(self.arrived)}
        return dump({"kind": "arrival", "version": ARRIVAL_VERSION, **values})

    @classmethod
    def from_json(cls, data: bytes) -> Arrival:
        """The arrival in a document; BadDocument names the path of what is wrong."""
        fields = load(data, "arrival", ARRIVAL_VERSION)
        arrival = cls(
            frame=fields.hash("frame"),
            instrument=fields.text("instrument", 64),
            night=fields.night("night"),
            expid=fields.integer("expid"),
            detectors=tuple(_detector(fields, index, item) for index, item in fields.many("detectors", 0, MAX_FRAMES)),
            obstype=fields.text("obstype", 64),
            path=fields.text("path"),
            arrived=fields.time("arrived"),
        )
        fields.done()
        path = PurePosixPath(arrival.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            fields.refuse("path", "a path below the archive", arrival.path)
        return arrival


def worst(verdicts: list[str]) -> str:
    """The worst of several verdicts: refused > corrupt > accepted > duplicate."""
    return min(verdicts, key=VERDICTS.index)


def _verdict(fields: Fields) -> FrameVerdict:
    verdict = FrameVerdict(
        name=fields.name("name"),
        sha256=fields.hash("sha256"),
        verdict=fields.choice("verdict", VERDICTS),
        reason=fields.optional("reason", fields.text),
    )
    fields.done()
    return verdict


def _detector(fields: Fields, index: int, item: object) -> str:
    if not isinstance(item, str) or len(item) > 64:
        fields.refuse(f"detectors[{index}]", "a string", item)
    return item
