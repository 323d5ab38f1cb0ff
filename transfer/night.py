"""The document of the end of night, NightManifest (docs/formats.md section 6.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from transfer.documents import MAX_FRAMES, Fields, dump, load, time_text
from transfer.receipt import VERDICTS

VERSION: Final = 1
MAX_NIGHT_FRAMES: Final = 100_000  # what a document of 64 MiB holds
_STEM: Final = re.compile(r"([a-z0-9][a-z0-9_-]{0,31})-([0-9]{8})-([1-9][0-9]{0,5})\Z")


def night_stem(site: str, night: str, revision: int) -> str:
    """What the files of a night manifest are called: `STEM.night`, and the answer `STEM.night.json`."""
    return f"{site}-{night}-{revision}"


def parse_stem(stem: str) -> tuple[str, str, int] | None:
    """Site, night and revision of a night manifest by its file's name; None when it is not such a name."""
    match = _STEM.match(stem)
    return (match[1], match[2], int(match[3])) if match else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A lossless bundle that carried a frame, and the receiver's word on the frame."""

    bundle: str
    route: str
    manifest_sha256: str
    packed_sha256: str | None
    verdict: str


@dataclass(frozen=True, slots=True)
class NightFrame:
    """A frame of the night; size in bytes, sha256 of the file as the camera wrote it."""

    name: str
    size: int
    sha256: str
    instrument: str
    expid: int
    detectors: tuple[str, ...]
    obstype: str
    deliveries: tuple[Delivery, ...]

    @property
    def order(self) -> tuple[str, int, str, str]:
        """Where it stands among the frames of a night."""
        return self.instrument, self.expid, self.name, self.sha256


@dataclass(frozen=True, slots=True)
class Gap:
    """Exposure numbers that no frame of the night has, from `first` to `last`."""

    instrument: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PartialExposure:
    """An exposure of which detectors are missing: those that are there, and how many there should be."""

    instrument: str
    expid: int
    detectors: tuple[str, ...]
    expected: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file of the night that is no whole frame, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class NightManifest:
    """Every frame of a site's night, how each was delivered, and what is missing.

    `previous` is the sha256 of the site's night manifest before this one (the file, with its signature); `manifests`
    has the sha256 of the newest bundle manifest of every route, the head of that route's chain.
    """

    site: str
    night: str
    revision: int
    created: datetime
    software: str
    previous: str | None
    frames: tuple[NightFrame, ...]
    manifests: tuple[tuple[str, str], ...]
    gaps: tuple[Gap, ...]
    partial: tuple[PartialExposure, ...]
    quarantined: tuple[Quarantined, ...]

    @property
    def stem(self) -> str:
        """Name of its file, without `.night`."""
        return night_stem(self.site, self.night, self.revision)

    def same_night(self, other: NightManifest) -> bool:
        """Whether both say the same of the night: frames, deliveries, gaps and what was set aside."""
        parts = ("site", "night", "frames", "gaps", "partial", "quarantined")
        return all(getattr(self, part) == getattr(other, part) for part in parts)

    def to_json(self) -> bytes:
        """The document, always the same bytes for the same manifest."""
        document = {
            "kind": "night",
            "version": VERSION,
            "site": self.site,
            "night": self.night,
            "revision": self.revision,
            "created": time_text(self.created),
            "software": self.software,
            "previous": self.previous,
            "manifests": dict(self.manifests),
        }
        for part in ("frames", "gaps", "partial", "quarantined"):
            document[part] = [asdict(item) for item in getattr(self, part)]
        return dump(document)

    @classmethod
    def from_json(cls, data: bytes) -> NightManifest:
        """The night manifest in a document; BadDocument names the path of what is wrong."""
        fields = load(data, "night", VERSION)
        manifest = cls(
            site=fields.text("site", 32),
            night=fields.night("night"),
            revision=fields.integer("revision", 1, 999_999),
            created=fields.time("created"),
            software=fields.text("software", 256),
            previous=fields.optional("previous", fields.hash),
            frames=tuple(_frame(each) for each in objects(fields, "frames")),
            manifests=_heads(fields),
            gaps=tuple(_gap(each) for each in objects(fields, "gaps")),
            partial=tuple(_partial(each) for each in objects(fields, "partial")),
            quarantined=tuple(_quarantined(each) for each in objects(fields, "quarantined")),
        )
        fields.done()
        if parse_stem(manifest.stem) is None:
            fields.refuse("site", "a short name of lower-case letters, digits, _ and -", manifest.site)
        order = [frame.order for frame in manifest.frames]
        if any(one >= other for one, other in pairwise(order)):
            fields.refuse("frames", "frames sorted by instrument, expid and name, each once", "another order")
        return manifest


def objects(fields: Fields, key: str) -> Iterable[Fields]:
    """The objects of a list, one by one."""
    for index, item in fields.many(key, 0, MAX_NIGHT_FRAMES):
        yield Fields(item, f"{fields.path}.{key}[{index}]")


def texts(fields: Fields, key: str, limit: int = 100) -> Iterable[Fields]:
    """The strings of a list, each as the field `text` of an object of its own."""
    for index, item in fields.many(key, 0, limit):
        yield Fields({"text": item}, f"{fields.path}.{key}[{index}]")


def _detectors(fields: Fields) -> tuple[str, ...]:
    return tuple(each.text("text", 64) for each in texts(fields, "detectors", MAX_FRAMES))


def _frame(fields: Fields) -> NightFrame:
    frame = NightFrame(
        name=fields.name("name"),
        size=fields.integer("size"),
        sha256=fields.hash("sha256"),
        instrument=fields.text("instrument", 64),
        expid=fields.integer("expid"),
        detectors=_detectors(fields),
        obstype=fields.text("obstype", 64),
        deliveries=tuple(
            _delivery(Fields(item, f"{fields.path}.deliveries[{index}]"))
            for index, item in fields.many("deliveries", 0, 1000)
        ),
    )
    fields.done()
    return frame


def _delivery(fields: Fields) -> Delivery:
    delivery = Delivery(
        bundle=fields.bundle("bundle"),
        route=fields.text("route", 256),
        manifest_sha256=fields.hash("manifest_sha256"),
        packed_sha256=fields.optional("packed_sha256", fields.hash),
        verdict=fields.choice("verdict", VERDICTS),
    )
    fields.done()
    return delivery


def _heads(fields: Fields) -> tuple[tuple[str, str], ...]:
    heads = fields.mapping("manifests", lambda value: isinstance(value, str), "an object of hashes")
    checked = Fields(heads, f"{fields.path}.manifests")
    return tuple((route, checked.hash(route)) for route in sorted(heads))


def _gap(fields: Fields) -> Gap:
    gap = Gap(fields.text("instrument", 64), fields.integer("first"), fields.integer("last"))
    fields.done()
    if gap.last < gap.first:
        fields.refuse("last", "not less than first", gap.last)
    return gap


def _partial(fields: Fields) -> PartialExposure:
    partial = PartialExposure(
        fields.text("instrument", 64), fields.integer("expid"), _detectors(fields), fields.integer("expected")
    )
    fields.done()
    return partial


def _quarantined(fields: Fields) -> Quarantined:
    quarantined = Quarantined(fields.text("name"), fields.text("reason"))
    fields.done()
    return quarantined
